"""The dashboards of one run as the trainer calls them: all at once, and never so that one ends it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from training.config import TrainConfig
from training.loggers.logger import Logger, Metrics
from training.loggers.names import mask_metrics, measured_metrics, row_metrics
from training.loggers.tensorboard import TensorBoardLogger
from training.loggers.weights_and_biases import WandbLogger
from training.run_record import Row, RunRecord
from training.sparsity.updater import MaskUpdate
from wse_sim.errors import SpecError, choose

LOGGERS: Mapping[str, Callable[[], Logger]] = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger}


def parse_loggers(text: str | None) -> tuple[str, ...]:
    """The names of loggers in `text`, with commas between them, each once; None = none.

    Raises
    ------
    SpecError
        When there is no such logger.
    """
    names = [] if text is None else text.split(",")
    return tuple(dict.fromkeys(choose(name.strip(), LOGGERS, "logger") for name in names))


class Loggers:
    """Loggers of one run.

    One that fails is left out from then on, which is said at once and stands in the run's warnings: a disk full of
    curves must not end a run of days. Its numbers are in the run's own files, from which a run that goes on logs anew.

    Parameters
    ----------
    summary :
        What is known of the run beforehand, such as what its full-size model was simulated to take.
    say :
        Is told what fails, and at the end how to see what was logged; None = nobody is.
    """

    def __init__(
        self,
        loggers: Sequence[Logger] = (),
        *,
        summary: Metrics | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._loggers, self._summary, self._say = tuple(loggers), dict(summary or {}), say
        self.warnings: list[str] = []
        self._running: list[Logger] = []
        self._before: Row | None = None
        self._step, self._wall_s, self._began_s = 0, 0.0, 0.0

    def start(
        self,
        run_dir: Path,
        config: TrainConfig,
        *,
        host_s: float = 0.0,
        rows: Iterable[Row] = (),
        mask_updates: Iterable[MaskUpdate] = (),
    ) -> None:
        """Begin, with what a run that goes on has done before.

        Parameters
        ----------
        host_s :
            That the run has taken.

        Raises
        ------
        SpecError
            When a logger cannot begin.
        """
        self.warnings, self._running, self._before, self._step = [], [], None, 0
        self._wall_s = self._began_s = time.time() - host_s
        for logger in self._loggers:
            try:
                logger.start(run_dir, config)
            except Exception as error:
                raise SpecError(f"{run_dir}: {logger.name} cannot begin to log: {_words(error)}") from error
            self._running.append(logger)
        done: list[Row | MaskUpdate] = [*mask_updates, *rows]
        for one in sorted(done, key=lambda one: one.step):
            self.log(one)

    def log(self, one: Row | MaskUpdate) -> None:
        """Log a step, or a change of the masks after it."""
        if isinstance(one, Row):
            metrics = row_metrics(one, self._before)
            self._before, self._wall_s = one, self._began_s + one.host_s
        else:
            metrics = mask_metrics(one)
        self._step = one.step
        self._each(lambda logger: logger.log(one.step, metrics, self._wall_s))

    def end(self, record: RunRecord | None) -> None:
        """End with what the run came to; None where it was broken off."""
        summary = self._summary | ({} if record is None else measured_metrics(record))
        self._each(lambda logger: self._tell(logger.end(self._step, summary, is_complete=record is not None)))
        self._running = []

    def _each(self, call: Callable[[Logger], None]) -> None:
        for logger in list(self._running):
            try:
                call(logger)
            except Exception as error:  # whatever another program's library raises
                self._running.remove(logger)
                self.warnings.append(f"{logger.name} failed and logs no more, the run goes on: {_words(error)}")
                self._tell(f"note: {self.warnings[-1]}")
                with suppress(Exception):  # what it holds is let go of as far as that goes
                    logger.end(self._step, {}, is_complete=False)

    def _tell(self, line: str) -> None:
        if self._say is not None:
            self._say(line)


def make_loggers(
    names: Iterable[str], *, summary: Metrics | None = None, say: Callable[[str], None] | None = None
) -> Loggers:
    """The loggers of these names, for one run.

    Raises
    ------
    SpecError
        When there is no such logger, or its library is not installed.
    """
    chosen = [LOGGERS[choose(name, LOGGERS, "logger")]() for name in names]
    return Loggers(chosen, summary=summary, say=say)


def _words(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
