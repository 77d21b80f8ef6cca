"""How a run is computed, as far as that is not what is computed: on what device, in which precision, in what pieces."""

from typing import Literal

import msgspec

from wse_sim.errors import SpecError

ExecutorName = Literal["dense", "streaming"]
Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
Recompute = Literal["never", "fitting", "always"]
Sharding = Literal["ddp", "fsdp"]
Clip = float | Literal["none"]
OnNan = Literal["stop", "skip"]


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a training configuration that another machine might want otherwise.

    It belongs to the identity of a run all the same: sums taken in another order, or in fewer bits, round otherwise.

    Parameters
    ----------
    executor :
        `dense`: ordinary autograd on whole matrices; `streaming`: only non-zeros are kept, and one block at a time is
        dense (`training.streaming`).
    device :
        Where matrix products run.
    precision :
        Of matrix products and of what they read: `fp32`, or `bf16` with 32-bit weights, moments, norms and residual
        stream, as under `torch.autocast`.
    microbatch :
        Sequences that go through at once; None = all of a step.
    recompute :
        Whether activations are computed again on the way back instead of being kept: `fitting` keeps those of as many
        blocks as memory has room for (streaming alone).
    compile :
        Put blocks through `torch.compile` (dense alone).
    sharding :
        What processes under `torchrun` share: `ddp`, the sequences; `fsdp`, the parameters as well.
    moments :
        Precision that Adam's moments are kept in (streaming alone).
    store :
        Folder for the non-zeros and their moments; None = in memory (streaming alone).
    """

    executor: ExecutorName = "dense"
    device: Device = "cpu"
    precision: Precision = "fp32"
    microbatch: int | None = None
    recompute: Recompute = "never"
    compile: bool = False
    sharding: Sharding = "ddp"
    moments: Precision = "fp32"
    store: str | None = None

    def __post_init__(self) -> None:
        if self.microbatch is not None and self.microbatch < 1:
            raise SpecError(f"execution.microbatch is {self.microbatch}, it must be at least 1")
        wrong_executor = {
            "streaming": {"compile": self.compile, "sharding": self.sharding != "ddp"},
            "dense": {
                "moments": self.moments != "fp32",
                "store": self.store is not None,
                "recompute": self.recompute == "fitting",
            },
        }[self.executor]
        for key in (key for key, is_set in wrong_executor.items() if is_set):
            raise SpecError(
                f"execution.{key} is {getattr(self, key)!r}: the {self.executor} executor has no such thing; "
                "leave it out, or name the other executor"
            )


def device_at_hand(asked: Device | None) -> Device:
    """The device that was asked for, or the best there is.

    Raises
    ------
    SpecError
        When a GPU is asked for and there is none.
    """
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise SpecError("device is 'cuda', but PyTorch finds no GPU here: --device cpu would be right")
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")
