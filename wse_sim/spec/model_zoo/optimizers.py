"""AdamW from the `optimizer:` block of the published form, with the defaults of Cerebras PyTorch 2.10 (AdamBase.py)."""

from typing import NamedTuple

from wse_sim.spec.model_zoo.ledger import Section


class AdamW(NamedTuple):
    """What the optimizer is.

    Parameters
    ----------
    constant_lr :
        Learning rate where no scheduler says one.
    """

    betas: tuple[float, float]
    eps: float
    weight_decay: float
    constant_lr: float | None


def adamw_of(optimizer: Section, cannot_train: list[str]) -> AdamW | None:
    """The optimizer; None where it is none of Adam's family.

    Parameters
    ----------
    cannot_train :
        Takes a reason where AdamW would be another optimizer than the file's.

    Raises
    ------
    SpecError
        When the block does not name one optimizer, or a value is wrong.
    """
    if len(optimizer.keys) != 1:
        optimizer.wrong_block("one optimizer, such as AdamW")
    (name,) = optimizer.keys
    own = optimizer.section(name)
    if name.lower() not in ("adamw", "adam"):
        cannot_train.append(f"the optimizer is {name}: wse-sim trains with AdamW")
        own.ignore_all(f"of {name}", "training")
        return None
    betas = own.value("betas", "betas of AdamW", [0.9, 0.999])
    if not (isinstance(betas, list) and len(betas) == 2 and all(isinstance(b, int | float) for b in betas)):
        own.wrong("betas", betas, "two numbers")
    weight_decay = own.number("weight_decay", "weight decay; of norms and biases none, here as there", 0.0)
    if name.lower() == "adam" and weight_decay:
        cannot_train.append(f"the optimizer is {name} with weight_decay {weight_decay:g}, which it adds to gradients: "
                            "wse-sim trains with AdamW")  # fmt: skip
    own.switch("correct_bias", True, "moments are always corrected for their start here", "training")
    own.switch("amsgrad", False, "moments are plain averages here", "training")
    found = AdamW(
        betas=(float(betas[0]), float(betas[1])),
        eps=own.number("eps", "epsilon of AdamW", 1e-6),
        weight_decay=weight_decay,
        constant_lr=own.number("learning_rate", "learning rate", own.number("lr", "learning rate", None)),
    )
    own.finish()
    return found
