"""What a dashboard is to the trainer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from training.config import TrainConfig
from wse_sim.errors import SpecError, installs

Metrics = Mapping[str, float]


class Logger(Protocol):
    """Takes what a run logs to where a dashboard finds it.

    A run that goes on is logged anew from its first step, so that what it had done and lost again is nowhere.
    """

    name: str

    def start(self, run_dir: Path, config: TrainConfig) -> None:
        """Begin: nothing is logged, whatever was before; the configuration is the run's hyper-parameters."""

    def log(self, step: int, metrics: Metrics, wall_s: float) -> None:
        """Take numbers of a step by name; steps never fall, and several calls may be of the same one.

        Parameters
        ----------
        wall_s :
            When that was, seconds since 1970; pauses between parts of a run are left out.
        """

    def end(self, step: int, summary: Metrics, *, is_complete: bool) -> str:
        """End after `step` steps, with what the run came to; what the user does to see it all."""


@contextmanager
def library_of(logger: str) -> Iterator[None]:
    """Where the library of a logger is imported: SpecError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise SpecError(f"--log {logger} needs a library that is not installed ({error}): {installs(logger)}") from None
