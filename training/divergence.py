"""Steps whose loss or gradient is no finite number: whether the run goes on without them, and what is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from models.tensor_file import TensorSource
from training.checkpoint import SavedParameter, saved_steps
from training.config import TrainConfig
from wse_sim.errors import SpecError

MOST_IN_A_ROW = 100  # skipped steps: behind so many is no single batch
_NAMED = 8  # sequences of a batch


class DivergenceError(SpecError):
    """Training has left the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The steps of a run that changed nothing.

    Parameters
    ----------
    in_a_row :
        The last ones, up to now.
    """

    n: int = 0
    in_a_row: int = 0

    def after(self, *, is_finite: bool) -> "Skipped":
        """Those after one more step."""
        return replace(self, in_a_row=0) if is_finite else Skipped(n=self.n + 1, in_a_row=self.in_a_row + 1)

    def is_too_much(self, config: TrainConfig) -> bool:
        """So many steps in a row were skipped that no batch is to blame."""
        n_steps = config.n_steps - (0 if config.branch is None else config.branch.step)
        return self.in_a_row >= min(MOST_IN_A_ROW, n_steps)

    @property
    def in_words(self) -> tuple[str, ...]:
        """A sentence; none where none was skipped."""
        skipped = "1 step was" if self.n == 1 else f"{self.n} steps were"
        return (f"{skipped} skipped, loss or gradient being no finite number: run.jsonl says which",) if self.n else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """A step that left the numbers, or came to weights that have.

    Parameters
    ----------
    step :
        From 1.
    lr :
        Base learning rate of the step.
    in_a_row :
        Steps that left the numbers, this one the last; 0 = it was taken, and its weights have.
    sequences :
        Numbers of the batch's sequences in the training part of the data.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float
    in_a_row: int
    sequences: Iterable[int]

    def error(self, config: TrainConfig, run_dir: Path, why: str = "") -> DivergenceError:
        """What happened, where the run can go on, and what would help.

        Parameters
        ----------
        why :
            What more there is to say than that its loss or gradient is no finite number.
        """
        names = [str(number) for number in self.sequences]
        batch = ", ".join(names[:_NAMED]) + (f", ... ({len(names)} in all)" if len(names) > _NAMED else "")
        last = max((step for step in saved_steps(run_dir) if step <= self.step - self.in_a_row), default=None)
        kept = f"there is {'no checkpoint' if last is None else f'a checkpoint of step {last}'} from before that"
        return DivergenceError(
            f"step {self.step}: the loss is {self.loss:.6g} and the gradient norm {self.grad_norm:.6g}, "
            f"at a learning rate of {self.lr:.3g}, over the sequences {batch} of the data"
            f"{f'; {why}' if why else ''}: training diverged, {kept}. {_what_helps(config, can_skip=not why)}"
        )


def finite(parameters: Mapping[str, SavedParameter], step: int, config: TrainConfig) -> dict[str, SavedParameter]:
    """The same parameters, which end with a DivergenceError where they come to a number that is not finite."""
    diverged = f"is no longer finite: training diverged. {_what_helps(config, can_skip=False)}"
    return {
        name: replace(
            parameter,
            numbers={
                kind: _checked(source, f"step {step}: {kind} of {name} {diverged}")
                for kind, source in parameter.numbers.items()
            },
        )
        for name, parameter in parameters.items()
    }


def _what_helps(config: TrainConfig, *, can_skip: bool) -> str:
    peak_lr, clip = config.base.peak_lr, config.clip
    lower_clip = "a --clip, such as 1.0" if clip == "none" else f"a --clip below {clip:g}"
    helps = f"A --peak-lr below {peak_lr:g}, {lower_clip}, or a longer warm-up would help"
    is_offered = can_skip and config.on_nan == "stop" and not config.takes_gradients_at_once
    return helps + ("; or --on-nan skip, with which --resume goes on without such steps" if is_offered else "")


def _checked(source: TensorSource, message: str) -> TensorSource:
    def pieces() -> Iterator[Tensor]:
        for piece in source.pieces():
            if piece.numel() and not all(map(torch.isfinite, torch.aminmax(piece))):
                raise DivergenceError(message)
            yield piece

    return replace(source, pieces=pieces)
