"""Points of a sweep that are trained: each is a run directory, as `wse-sim train` makes it, and a row of the table."""

import re
import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, get_args

import msgspec

from training.choice import choose_run
from training.cosim import run_plan
from training.described import PARAMETRIZATIONS, job_from
from training.distributed import n_processes
from training.divergence import DivergenceError
from training.execution import Device, Precision, Recompute
from training.host import Mode
from training.interrupt import Interrupted, stop_when_orphaned
from training.job import TARGET_FILE, Job, read_job
from training.machine import machine_profile
from training.plan import make_plan, plan_of_run
from training.schedules import parse_schedule
from wse_sim.errors import FileError, SpecError
from wse_sim.files import turn_in
from wse_sim.processes.limits import n_usable_cpus
from wse_sim.processes.on_ray import on_ray
from wse_sim.processes.pool import Spread, on_processes
from wse_sim.report import run_files
from wse_sim.spec.ranges import check_number
from wse_sim.spec.written import parse_density
from wse_sim.sweeps import keys
from wse_sim.sweeps.keys import Point, Reader, Value, Vocabulary
from wse_sim.sweeps.sweep import Row, Sweep

_WORK = "training.sweep:train_run"
_NOT_TRAINED = ("jitter", "straggler")  # of the simulation alone
_LONGEST_NAME = 120  # of a folder
_FLAGS = ("sparse_wide", "compile")
# Columns: where they stand in a run's summary.
_RESULTS: dict[str, tuple[str, ...]] = {
    "chosen_mode": ("choice", "mode"),
    "measured_val_loss": ("measured", "val_loss"),
    "measured_bits_per_byte": ("measured", "bits_per_byte"),
    "measured_train_loss": ("measured", "train_loss"),
    "measured_steps": ("measured", "steps"),
    "measured_tokens": ("measured", "tokens"),
    "measured_host_s": ("measured", "host_s"),
    "simulated_tokens_per_s": ("simulated", "tokens_per_s"),
    "simulated_run_time_s": ("simulated", "run_time_s"),
    "simulated_energy_j": ("simulated", "energy_j"),
    "simulated_cost_usd": ("simulated", "cost_usd"),
    "simulated_gpu_run_time_s": ("simulated_gpu", "run_time_s"),
    "projected_loss": ("projected", "value"),
}


class RunTask(msgspec.Struct, frozen=True, kw_only=True):
    """A point to train, and the folder to do it in.

    Parameters
    ----------
    folder :
        Absolute: who trains may stand elsewhere.
    named :
        The same as the user would write it, for the command that its summary tells: "" = as it is.
    """

    index: int
    point: Point
    folder: str
    named: str = ""

    @property
    def name(self) -> str:
        """For errors."""
        return f"the run in {self.folder}"


def trained_vocabulary() -> Vocabulary:
    """The keys of points that are trained: options of `wse-sim train`."""
    of_run = {name: reader for name, reader in keys.RUN_READERS.items() if name not in _NOT_TRAINED}
    of_training: dict[str, Reader] = {
        "schedule": _schedule,
        "parametrization": keys.one_of(*PARAMETRIZATIONS),
        "budget": keys.seconds,
        "mode": keys.one_of(*get_args(Mode)),
        "steps": keys.of_a_run(keys.whole),
        "precision": keys.one_of(*get_args(Precision)),
        "device": keys.one_of(*get_args(Device)),
        "peak_lr": keys.of_a_run(keys.number_of),
        "clip": _clip,
        "recompute": keys.one_of(*get_args(Recompute)),
        "moments": keys.one_of(*get_args(Precision)),
        "compile": keys.yes_or_no,
        "data": keys.text,
        "tokenizer": keys.text,
        "text_field": keys.text,
    }
    return Vocabulary(readers={**of_run, **keys.GPU_READERS, **of_training}, check=_check)


def trained_sweep(points: Sequence[Point]) -> Sweep:
    """The sweep that trains each of these points.

    Raises
    ------
    SpecError
        When there are more than are ever trained.
    """
    check_number("n_runs", len(points), "the number of runs")
    return Sweep(kind="measured", points=tuple(points), results=("run", *_RESULTS))


def train_points(
    todo: Mapping[int, Point], sweep: Sweep, out: Path, *, n_workers: int | None = None, is_on_ray: bool = False
) -> Generator[Sequence[Row], None, None]:
    """The rows of points, each trained into a folder of its own under `out`, from its checkpoint if there is one.

    Parameters
    ----------
    n_workers :
        Processes; by default one for each usable CPU, over the threads that a run takes.
    """
    if n_processes() > 1:
        raise SpecError("a sweep starts processes of its own: start it without torchrun")
    tasks = [
        RunTask(index=index, point=point, folder=str(out.resolve() / name), named=str(out / name))
        for index, point, name in ((index, point, _folder_name(sweep, index)) for index, point in todo.items())
    ]
    threads, seconds = _needs(tasks)
    tasks.sort(key=lambda task: -seconds[task.index])  # the longest first
    spread: Spread = partial(on_ray, cpus_per_task=threads)
    if not is_on_ray:
        spread = partial(on_processes, n_workers=n_workers or max(1, n_usable_cpus() // threads))
    with closing(spread(_WORK, tasks, Row)) as rows:
        for row in rows:
            yield [row]


def train_run(task: RunTask) -> Row:
    """Train a point, or read what was trained before; that it hits a wall, or diverges, is a row too.

    Raises
    ------
    FileError
        When the run cannot be written: that is not for its row, which nobody would work out again.
    KeyboardInterrupt
        On Ctrl-C, or when the process that wants the row is gone; after a checkpoint was written.
    """
    folder = Path(task.folder)
    try:
        with turn_in(folder):
            return _row(task, _summary(task, folder))
    except Interrupted:
        raise KeyboardInterrupt from None
    except DivergenceError as error:
        return Row(task.index, "diverged", str(error), {"run": folder.name})
    except FileError:
        raise
    except SpecError as error:
        return Row(task.index, "infeasible", str(error))


def _summary(task: RunTask, folder: Path) -> dict[str, Any]:
    if (folder / run_files.SUMMARY).is_file():
        return run_files.read_summary(folder)
    profile = machine_profile()
    is_begun = (folder / TARGET_FILE).is_file()
    plan = plan_of_run(folder, profile) if is_begun else make_plan(_job(task.point), profile)
    return run_plan(plan, folder, command=_command(task), on_step=stop_when_orphaned(), resume=is_begun)


def _row(task: RunTask, summary: Mapping[str, Any]) -> Row:
    results: dict[str, Value | None] = {"run": Path(task.folder).name}
    for name, (part, field) in _RESULTS.items():
        results[name] = summary[part][field]
    return Row(task.index, results=results)


def _needs(tasks: Sequence[RunTask]) -> tuple[int, dict[int, float]]:
    """The most threads that a run takes, and the seconds expected of each; of one that cannot be trained, none.

    Raises
    ------
    SpecError
        When the folder of a run holds another one.
    """
    profile, threads, seconds = machine_profile(), 1, {task.index: 0.0 for task in tasks}
    for task in tasks:
        try:
            job = _job(task.point)
            choice = choose_run(job, profile)
        except SpecError:
            continue  # its row will say so
        threads, seconds[task.index] = max(threads, choice.config.n_threads), choice.predicted_s
        folder = Path(task.folder)
        if (folder / TARGET_FILE).is_file() and read_job(folder) != job:
            raise SpecError(f"{folder}: holds the run of another sweep; name another folder with --out")
    return threads, seconds


def _job(point: Point) -> Job:
    given: dict[str, Any] = dict(point)
    if "sparsity" in given:
        given["density"] = parse_density(None, given.pop("sparsity"))
    if "sparse_wide" in given:
        given["is_sparse_wide"] = given.pop("sparse_wide")
    return job_from(**given)


def _folder_name(sweep: Sweep, index: int) -> str:
    """The place of a point among all, and what tells it from the others."""
    point = sweep.points[index]
    words = [str(index).zfill(len(str(len(sweep.points) - 1)))]
    words += [f"{name}-{point[name]}" for name in sweep.varied if name in point]
    return "-".join(re.sub(r"[^\w.=-]+", "_", word).strip("_") for word in words)[:_LONGEST_NAME]


def _command(task: RunTask) -> str:
    """The command that trains this point alone."""
    words = ["wse-sim", "train"]
    for name, value in task.point.items():
        option = f"--{name.replace('_', '-')}"
        words += ([option] if value else []) if name in _FLAGS else [option, str(value)]
    return shlex.join([*words, "--out", task.named or task.folder])


def _check(point: Point) -> None:
    keys.check_model_and_density(point)
    if "sparsity_algorithm" in point and not {"density", "sparsity"} & set(point):
        raise SpecError("sparsity_algorithm has nothing to mask at density 1: give density too")


def _schedule(given: object, what: str) -> str:
    text = keys.text(given, what)
    parse_schedule(text)
    return text


def _clip(given: object, what: str) -> Value:
    return "none" if given == "none" else keys.of_a_run(keys.number_of)(given, what)
