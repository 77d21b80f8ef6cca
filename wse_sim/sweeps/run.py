"""Works a sweep out: what is missing of it, in whatever order, into a table in the order of its points."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from wse_sim.errors import choose
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.sweep_words import less_is_better
from wse_sim.sweeps.grid import Chosen
from wse_sim.sweeps.journal import Journal
from wse_sim.sweeps.rows import ChosenRows
from wse_sim.sweeps.sweep import STATUS, Evaluate, Row, Sweep


def run_sweep(
    sweep: Sweep,
    evaluate: Evaluate,
    out: Path | None = None,
    watch: Watch = UNWATCHED,
    *,
    command: str = "",
) -> Sequence[Row]:
    """A row for each point, in their order; they stay on the disk.

    Parameters
    ----------
    evaluate :
        What works points out: `wse_sim.sweeps.simulated`.
    out :
        The table to write, as `wse_sim.sweeps.table.write_table`, with a journal beside it while the sweep runs. Of
        what an earlier call left there nothing is worked out again.
    watch :
        Hears of rows after they were written.
    command :
        That works it out, kept beside the table.

    Raises
    ------
    SpecError
        When `out` holds something else or cannot be written, or another process works on it.
    """
    with closing(Journal(sweep, out, command=command)) as journal:
        todo = Chosen(sweep.points, journal.rows.is_missing)
        watch.begin(len(sweep.points), "points", n_known=len(sweep.points) - len(todo))
        with closing(evaluate(todo)) as found:
            for rows in found if todo else ():
                journal.append(rows)
                watch.came(len(rows))
        return journal.finish()


def best_first(sweep: Sweep, rows: Sequence[Row], column: str) -> Sequence[Row]:
    """The rows that have a number in this column, the best one first; equals stay in order.

    As `wse_sim.report.sweep_words.less_is_better` says, or more is.

    Raises
    ------
    SpecError
        When there is no such column.
    """
    choose(column, set(sweep.columns) - set(STATUS), "field to sort by")
    sign = 1 if less_is_better(column) else -1
    cells = (sweep.cell(row, column) for row in rows)
    numbers = np.fromiter((sign * c if isinstance(c, int | float) else np.nan for c in cells), np.float64, len(rows))
    order = np.argsort(numbers, kind="stable")
    return ChosenRows(rows, order[: np.count_nonzero(~np.isnan(numbers))])
