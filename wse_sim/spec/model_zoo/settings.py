"""The small blocks of the published form: loop, precision, loss, data, callbacks, cluster."""

from pathlib import Path
from typing import Literal, NamedTuple

from wse_sim.errors import SpecError
from wse_sim.spec.model_zoo.ledger import Section
from wse_sim.spec.model_zoo.reasons import Affects

_ABOUT_ONE = 1e-3
_MOST_EVALUATED = 256  # sequences: an evaluation here is to take about as long as a few steps
_HALVES = ("float16", "bfloat16", "cbfloat16")
# Callbacks of theirs that change what a run computes.
_CALLBACKS: dict[str, tuple[str, Affects]] = {
    "Lora": ("all weights train here, none through adapters", "both"),
    "SelectiveGrad": ("every token counts in the loss here", "training"),
    "WeightCompression": ("weights are not compressed here", "both"),
    "LoadCheckpointStates": ("the run starts from its initial weights, not from a checkpoint of theirs", "training"),
}
_WATCHING: tuple[str, Affects] = ("callbacks watch or steer a run of theirs; wse-sim has its own", "nothing")


class Loop(NamedTuple):
    """How long a run is, and how it evaluates: every so many steps, so many batches."""

    n_steps: int
    eval_interval: int | None
    eval_steps: int | None


def loop_of(init: Section) -> Loop:
    loop = init.section("loop")
    n_steps = loop.integer("num_steps", "n_steps", None)
    max_steps = loop.integer("max_steps", "n_steps", None)
    if n_steps is None and max_steps is None:
        raise SpecError(f"{loop.place()}: there is no max_steps: say how long the run is in steps")
    frequency = loop.number("eval_frequency", "evaluation every {value} steps, or that share of the run", None)
    n_steps = max_steps if n_steps is None else n_steps
    if frequency is not None and frequency <= 1.0:
        frequency = max(1, round(frequency * n_steps)) if frequency > 0 else None
    eval_steps = loop.integer("eval_steps", f"batches of an evaluation, at most {_MOST_EVALUATED} sequences here", None)
    loop.switch("grad_accum_steps", 1, "batch_size is that of a whole step here", "both")
    loop.finish()
    return Loop(n_steps, None if frequency is None else int(frequency), eval_steps)


def note_loss(model: Section, seq_len: int) -> None:
    """The loss here is the mean over tokens; theirs is, or a sum over a sequence times a weight that makes it one."""
    scaling = model.word("loss_scaling", "", "num_tokens", options=("num_tokens", "batch_size"))
    weight = model.number("loss_weight", "", 1.0)
    is_mean = scaling == "num_tokens" or abs(weight * seq_len - 1.0) < _ABOUT_ONE
    for key, value in (("loss_scaling", scaling), ("loss_weight", weight)):
        if is_mean:
            model.understand(key, value, "the loss is the mean over tokens")
        else:
            model.note(
                key, value, "the loss is the mean over tokens here, and so are gradients that are clipped", "training"
            )


def num_csx_of(init: Section) -> int | None:
    backend = init.section("backend", needed=False)
    cluster = backend.section("cluster_config", needed=False)
    n: int | None = cluster.integer("num_csx", "num_csx", None)
    cluster.finish()
    backend.finish()
    return n


def precision_of(init: Section, cannot_train: list[str]) -> tuple[float | None, Literal["fp32", "bf16"]]:
    """Largest norm of the gradient, None where it is not clipped; and the precision of matrix products."""
    if "precision" not in init:
        init.assume("precision", "none", "matrix products in 32 bits, no clipping")
        return None, "fp32"
    precision = init.section("precision")
    is_mixed = precision.flag("enabled", "", True)
    bits = "in 16 bits" if is_mixed else "in 32 bits where it trains; wafers are simulated in 16"
    precision.understand("enabled", is_mixed, f"matrix products {bits}")
    precision.one_way(
        "fp16_type",
        precision.word("fp16_type", "", "bfloat16", options=_HALVES),
        "bfloat16",
        "matrix products are computed in bfloat16 here",
        "training" if is_mixed else "nothing",
    )
    clip = precision.number("max_gradient_norm", "clip", None)
    if "max_gradient_value" in precision:
        cannot_train.append("gradients are clipped one by one (max_gradient_value): wse-sim clips their norm")
        precision.ignore("max_gradient_value", "gradients are clipped by their norm here", "training")
    precision.finish()
    return clip or None, "bf16" if is_mixed else "fp32"


def n_evaluated(fit: Section, loop: Loop, batch_size: int) -> int | None:
    """Sequences of an evaluation: batches of the first set that it reads."""
    sets = fit.value("val_dataloader", "", None)
    if sets is not None:
        why = "the held-out part of the data is what evaluates here; of its batch_size are the eval_steps"
        fit.note("val_dataloader", sets, why, "nothing")
    first = sets[0] if isinstance(sets, list) and sets else sets
    if loop.eval_steps is None or not isinstance(first, dict):
        return None
    size = first.get("batch_size", batch_size)
    return min(_MOST_EVALUATED, loop.eval_steps * (size if isinstance(size, int) else batch_size))


def interval_of(init: Section, section: str, key: str, became: str) -> int | None:
    table = init.section(section, needed=False)
    value: int | None = table.integer(key, became + " {value}", None)
    table.finish()
    return value


def data_of(data: Section) -> str | None:
    """The folder of the data where there is one and it is here."""
    folders = data.value("data_dir", "", [])
    listed = folders if isinstance(folders, list) else [folders]
    here = [folder for folder in listed if isinstance(folder, str) and Path(folder).exists()]
    if len(listed) == 1 and here:
        data.understand("data_dir", here[0], "data")
        return here[0]
    if listed:
        why = "is not here: --data names what trains in its place" if not here else "one folder alone: --data names it"
        data.note("data_dir", folders, why, "training")
    return None


def note_callbacks(init: Section) -> None:
    found = init.value("callbacks", "", [])
    for number, callback in enumerate(found if isinstance(found, list) else [found]):
        for name, arguments in callback.items() if isinstance(callback, dict) else [(str(callback), None)]:
            why, affects = _CALLBACKS.get(name, _WATCHING)
            init.note(f"callbacks[{number}].{name}", arguments, why, affects)
