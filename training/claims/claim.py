"""A claim of a paper, what is found about it, and the tables and figures that show it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wse_sim.progress import Watch
from wse_sim.report.curves import Panel

Verdict = Literal["reproduced", "not reproduced", "inconclusive"]
Cell = str | float | int

REPRODUCED: Verdict = "reproduced"
NOT_REPRODUCED: Verdict = "not reproduced"
INCONCLUSIVE: Verdict = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a claim is to be tested.

    Parameters
    ----------
    out :
        Folder of this claim's raw outcomes; a claim that trains goes on from what is there.
    n_seeds :
        Of each run that is trained; seeds count from 0.
    n_workers :
        Processes that train side by side.
    is_smoke :
        A few seconds, only to show that it runs; a claim that trains then finds nothing but `inconclusive`.
    watch :
        Hears how far it is.
    """

    out: Path
    n_seeds: int
    n_workers: int
    is_smoke: bool
    watch: Watch


@dataclass(frozen=True, slots=True)
class Table:
    """Figures under a title; one that has an interval is a text that shows it: `1.5361 ± 0.0021 (3 seeds)`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), f"{self.title}: a cell for each column"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came out.

    Parameters
    ----------
    why :
        The verdict's reason in a sentence or two, with the figures that decide it.
    setup :
        What was run, and at what scale: plain sentences.
    """

    verdict: Verdict
    why: str
    setup: tuple[str, ...]
    tables: tuple[Table, ...]
    panels: tuple[Panel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something a paper says, and how it is tested here.

    Parameters
    ----------
    number, name :
        Its place in the list, and what the command line calls it.
    title :
        In a few words.
    statement, source :
        What is said, in plain words, and where.
    accepted_if :
        When it counts as reproduced; fixed before anything ran.
    needs_training :
        Whether models are trained to test it.
    """

    number: int
    name: str
    title: str
    statement: str
    source: str
    accepted_if: str
    needs_training: bool
    find: Callable[[Setting], Finding]
