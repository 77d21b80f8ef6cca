"""What the user asks of the run that is made here, on the machine at hand."""

from typing import Literal

import msgspec

from training.execution import Clip, Device, Precision, Recompute, Sharding
from wse_sim.errors import SpecError
from wse_sim.spec.ranges import check_number

# Of runs that are chosen by the budget: so this machine was timed.
_OF_ANY_OTHER = {"device": "cpu", "precision": "fp32", "recompute": "never"}

Mode = Literal["auto", "full", "dense", "proxy"]
ChosenMode = Literal["full", "dense", "proxy"]


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a job that is about this machine.

    Parameters
    ----------
    mode :
        `full`: the target itself, by the streaming executor; `dense`: itself, by ordinary autograd; `proxy`: a narrower
        model in its place; `auto`: itself where the budget allows for all of its tokens, else a proxy.
    steps :
        Optimizer steps of the target itself; None = as many as the budget allows.
    batch_size :
        Sequences per step here; None = `microbatch`, or the target's.
    microbatch :
        Sequences that go through at once; None = all of a step.
    precision, device :
        None = what suits the machine.
    peak_lr :
        Base learning rate; None = the published one.
    clip, recompute, compile, sharding, moments, store :
        As in `training.execution.Execution` and `TrainConfig`; recompute None = as much as memory makes necessary.
    """

    mode: Mode = "auto"
    steps: int | None = None
    batch_size: int | None = None
    microbatch: int | None = None
    precision: Precision | None = None
    device: Device | None = None
    peak_lr: float | None = None
    clip: Clip = 1.0
    recompute: Recompute | None = None
    compile: bool = False
    sharding: Sharding = "ddp"
    moments: Precision = "fp32"
    store: str | None = None

    @property
    def is_itself(self) -> bool:
        """The target itself was asked for, not whatever fits."""
        return self.mode in ("full", "dense")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "microbatch", "peak_lr", "clip"):
            value = getattr(self, name)
            if value not in (None, "none"):
                check_number(name, value)
        if not self.is_itself:
            defaults = Host(mode="full")
            given = [name for name in self.__struct_fields__[1:] if getattr(self, name) != getattr(defaults, name)]
            for name in given:
                own, asked = _OF_ANY_OTHER.get(name, "its own"), getattr(self, name)
                if asked != own:
                    runs = f"a run in mode {self.mode} has {own}"
                    proxy = ", or give a proxy its length by --budget" if name == "steps" else ""
                    raise SpecError(f"{name} is {asked}, but {runs}: name --mode full or --mode dense too{proxy}")
