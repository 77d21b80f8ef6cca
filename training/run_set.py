"""Several runs that were asked for together: what is kept of each before the first trains, so that all can go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from training.config import CONFIG_FILE
from training.job import TARGET_FILE, require_free, write_job
from training.toml_text import toml_text
from wse_sim.files import write_atomically
from wse_sim.report import run_files
from wse_sim.spec.reading import convert, read_toml

if TYPE_CHECKING:
    from training.plan import Plan


class RunSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `runs.toml` holds.

    Parameters
    ----------
    command :
        That asked for them.
    runs :
        Names of their folders, in the order in which they train and are compared.
    """

    command: str
    runs: tuple[str, ...]


def require_free_for_set(folder: Path, plans: Mapping[str, "Plan"]) -> None:
    """Make sure that a folder is free for runs that go into sub-folders of these names.

    Raises
    ------
    SpecError
        When it, or one of them, holds runs already.
    """
    for name, plan in plans.items():
        require_free(folder, plan.job, is_of_several=True)
        require_free(folder / name, plan.job)


def write_run_set(plans: Mapping[str, "Plan"], folder: Path, *, command: str) -> None:
    """Write what each run is to be, by the name of its folder in `folder`, and then that they belong together.

    Raises
    ------
    SpecError
        As `require_free_for_set`, and when the folder cannot be written.
    """
    require_free_for_set(folder, plans)
    for name, plan in plans.items():
        write_job(plan.job, folder / name)
        # The machine may be another one, or busier, when it goes on: the runs stay alike.
        write_atomically(folder / name / CONFIG_FILE, toml_text(plan.choice.config).encode())
    write_atomically(folder / run_files.RUNS, toml_text(RunSet(command=command, runs=tuple(plans))).encode())


def read_run_set(folder: Path) -> RunSet | None:
    """The runs that were asked for together in a folder; None where it holds no such ones.

    Raises
    ------
    SpecError
        When what it holds cannot be read.
    """
    path = folder / run_files.RUNS
    return convert(read_toml(path), RunSet, str(path)) if path.is_file() else None


def can_go_on(folder: Path) -> bool:
    """Whether a folder holds a run, or several, that were begun."""
    return any((folder / name).is_file() for name in (TARGET_FILE, run_files.RUNS))
