"""Grids and sweeps whose runs train one after another in this process, for tests that look at something else.

A worker takes seconds to load PyTorch, and the runs of a test a tenth of one. The tests of the grid and of the sweep
(`tests/training/test_grid.py`, `test_sweep.py`) start workers, and show that outcomes do not depend on them.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import pytest

from wse_sim.processes.attempts import AnyTask
from wse_sim.processes.pool import AnyOutcome, in_this_process


@contextmanager
def runs_in_this_process() -> Iterator[None]:
    """While this lasts, no worker is started to train."""

    def here(
        work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, n_workers: int
    ) -> Generator[AnyOutcome, None, None]:
        return in_this_process(work, tasks, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.grid.on_processes", here)
        patch.setattr("training.sweep.on_processes", here)
        yield
