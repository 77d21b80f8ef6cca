"""How fast configurations are priced and simulated on one machine: what `wse-sim bench plan` measures.

What is priced as columns is timed in CPU time of one core, with masks that were not drawn before. Commands are timed as
whole processes, from start to exit, after one that warms the cache of object code.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from wse_sim.cli.bench_goals import machine
from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import gpu_job
from wse_sim.gpu.search import search
from wse_sim.processes.limits import n_usable_cpus
from wse_sim.processes.pool import in_this_process
from wse_sim.progress import Watch
from wse_sim.runs import resolve_run
from wse_sim.schedule.estimate import NOTHING_CONTENDS
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.sweeps.closed_form import closed_form_sweep, price_points
from wse_sim.sweeps.columns import FASTEST, Sizes, fitting, price
from wse_sim.sweeps.keys import simulated_vocabulary
from wse_sim.sweeps.points import read_points
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.simulated import simulated_sweep
from wse_sim.sweeps.sweep import Row, Sweep
from wse_sim.sweeps.table import read_table

_MODELS, _SYSTEMS = ("1.3b", "2.7b", "6.7b", "13b"), ("cs2", "cs3")
_DENSITIES = (1.0, 0.5, 0.25, 0.125, 0.1)
_NUM_CSX = (1, 2, 4, 8, 16)
_SHARES = (24, 32, 48, 64, 96, 120, 128, 192, 256, 360)  # sequences of one system
_GPUS, _NUM_GPUS, _GPU_BATCH = ("a100-80", "h100", "b200"), (8, 64, 512), 1024
_LIMITS = ("--model", "2.7b", "--deadline", "10d", "--max-cost", "200k")
_ROOT = Path(__file__).parents[2]  # of the program that is timed
_seeds = count(1)  # of masks: none is drawn twice in a process


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How much is priced, simulated and planned."""

    n_configurations: int
    n_rows: int
    n_points: int
    plan: tuple[str, ...]


FULL = Workload(
    n_configurations=1_000_000,
    n_rows=100_000,
    n_points=1000,
    plan=("--density", "1,0.75,0.5,0.375,0.25,0.1875,0.125,0.1"),
)
SMALL = Workload(n_configurations=10_000, n_rows=1000, n_points=20, plan=("--num-csx", "1,2,4", "--tpp", "20"))


class ClosedFormSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Arrays of sizes in, arrays of figures out."""

    configurations: int
    cpu_s: float
    configurations_per_s: float


class TableSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """A whole sweep in closed form, written as a CSV."""

    rows: int
    wall_s: float
    cpu_s: float


class GpuSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Layouts of jobs on GPUs."""

    jobs: int
    layouts: int
    cpu_s: float
    layouts_per_s: float
    jobs_per_s: float


class EventSweepSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """A whole sweep by the event engine, and the closed form of its points."""

    points: int
    processes: int
    wall_s: float
    cpu_s: float
    points_where_nothing_contends: int
    largest_closed_form_error: float
    largest_closed_form_error_of_all: float


class PlanSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """A whole plan."""

    candidates: int
    wall_s: float
    cpu_s: float


Speed = ClosedFormSpeed | TableSpeed | GpuSpeed | EventSweepSpeed | PlanSpeed


def measure(workload: Workload, *, runs: int, watch: Watch) -> dict[str, Any]:
    """All that `wse-sim bench plan --json` prints but for the goals: of each, the best of `runs` rounds.

    Parameters
    ----------
    watch :
        Hears how far the rounds are.
    """
    rounds: list[dict[str, Speed]] = []
    watch.begin(runs, "rounds")
    for _ in range(runs):
        rounds.append(
            {
                "closed_form": closed_form_rate(workload.n_configurations),
                "closed_form_sweep": closed_form_sweep_seconds(workload.n_rows),
                "gpus": gpu_rate(),
                "event_sweep": event_sweep_seconds(workload.n_points),
                "plan": plan_seconds(workload.plan),
            }
        )
        watch.came()
    best = {name: min((of[name] for of in rounds), key=_time_s) for name in rounds[0]}
    return {"kind": "measured", "machine": machine(), "runs": runs, **msgspec.to_builtins(best)}


def closed_form_rate(n: int) -> ClosedFormSpeed:
    """Configurations on wafers that are priced in a second: arrays of sizes in, arrays of figures out.

    Parameters
    ----------
    n :
        Over four models, two kinds of system and five densities; sizes are drawn, micro-batches chosen.
    """
    kinds, economics = list(product(_MODELS, _SYSTEMS, _DENSITIES)), load_economics()
    sizes = _drawn_sizes(-(-n // len(kinds)))
    seed, n_priced = next(_seeds), 0
    started_s = time.process_time()
    for model, system, density in kinds:
        run = resolve_run(load_model(model), system=system, density=density, batch_size=1, seed=seed)
        cluster = load_cluster(system, 1)
        fits = fitting(run, cluster, sizes)
        price(run, cluster, sizes[fits], economics)
        n_priced += int(fits.sum())
    cpu_s = time.process_time() - started_s
    return ClosedFormSpeed(configurations=n_priced, cpu_s=cpu_s, configurations_per_s=n_priced / cpu_s)


def gpu_rate() -> GpuSpeed:
    """Layouts on GPUs that are priced in a second, and jobs whose fastest layout is found: all layouts are tried."""
    jobs = [
        gpu_job(load_model(model).shape, gpu=gpu, num_gpus=num_gpus, batch_size=_GPU_BATCH)
        for model, gpu, num_gpus in product(_MODELS, _GPUS, _NUM_GPUS)
    ]
    started_s = time.process_time()
    n_layouts = sum(len(search(job, Layout()).layouts) for job in jobs)
    cpu_s = time.process_time() - started_s
    rates = {"layouts_per_s": n_layouts / cpu_s, "jobs_per_s": len(jobs) / cpu_s}
    return GpuSpeed(jobs=len(jobs), layouts=n_layouts, cpu_s=cpu_s, **rates)


def event_sweep_seconds(n_points: int) -> EventSweepSpeed:
    """A whole process `wse-sim sweep` over distinct full steps by the event engine, and how far the closed form is off.

    Parameters
    ----------
    n_points :
        Over four models, five densities, five numbers of systems and ten shares of a batch.
    """
    with tempfile.TemporaryDirectory() as folder:
        points, table = Path(folder) / "points.csv", Path(folder) / "table.csv"
        _write_points(points, n_points)
        timed = _timed(("sweep", str(points), "--out", str(table), "--json"))[1]
        sweep = simulated_sweep(read_points(points, simulated_vocabulary()))
        simulated = list(read_table(table, sweep))
    return EventSweepSpeed(points=len(simulated), processes=n_usable_cpus(), **timed, **_errors(sweep, simulated))


def closed_form_sweep_seconds(n_rows: int) -> TableSpeed:
    """A whole process `wse-sim sweep --engine closed-form` that writes a CSV.

    Parameters
    ----------
    n_rows :
        A multiple of 1,000: batches over four models, two kinds of system, five densities, five numbers of systems and
        five lengths of the run.
    """
    batches = range(128, 128 * (n_rows // 1000) + 1, 128)
    lists = {
        "--model": _MODELS,
        "--system": _SYSTEMS,
        "--density": _DENSITIES,
        "--num-csx": _NUM_CSX,
        "--tokens": ("1e9", "3e9", "1e10", "3e10", "1e11"),
        "--batch-size": batches,
    }
    words = [word for name, values in lists.items() for word in (name, ",".join(map(str, values)))]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        timed = _timed(("sweep", "--engine", "closed-form", *words, "--out", str(table)))[1]
        with table.open(encoding="utf-8") as file:
            return TableSpeed(rows=sum(1 for _ in file) - 1, **timed)


def plan_seconds(axes: Sequence[str] = FULL.plan) -> PlanSpeed:
    """A whole process `wse-sim plan` of the 2.7b model, for a deadline and a purse.

    Parameters
    ----------
    axes :
        Options that say what it chooses among; by default more than 100,000 candidates.
    """
    words = ("plan", *_LIMITS, *axes, "--json")
    _timed(words)
    content, timed = _timed(words)
    return PlanSpeed(candidates=json.loads(content)["n_candidates"], **timed)


def _drawn_sizes(n: int) -> Sizes:
    drawn = np.random.default_rng(0)
    num_csx = drawn.choice(_NUM_CSX, n)
    return Sizes(
        num_csx=num_csx,
        batch_size=num_csx * drawn.integers(1, 1025, n),
        microbatch=np.full(n, FASTEST),
        tokens=drawn.uniform(1e9, 1e12, n),
    )


def _write_points(path: Path, n: int) -> None:
    """As many points, spread over all there are; another seed for each time around."""
    kinds = list(product(_MODELS, _DENSITIES, _NUM_CSX, _SHARES))
    step = max(1, len(kinds) // n)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("model", "system", "density", "num_csx", "batch_size", "seed"))
        for i in range(n):
            seed, place = divmod(i * step, len(kinds))
            model, density, num_csx, share = kinds[place]
            writer.writerow((model, "cs3", density, num_csx, num_csx * share, seed))


def _errors(sweep: Sweep, simulated: Sequence[Row]) -> dict[str, Any]:
    """Of the closed form's step times."""
    priced = run_sweep(closed_form_sweep(sweep.points), partial(price_points, spread=in_this_process))
    errors = [
        abs(_figure(a, "step_time_s") / _figure(b, "step_time_s") - 1) for a, b in zip(priced, simulated, strict=True)
    ]
    trusted = [e for e, row in zip(errors, priced, strict=True) if _figure(row, "contention") < NOTHING_CONTENDS]
    return {
        "points_where_nothing_contends": len(trusted),
        "largest_closed_form_error": max(trusted, default=0.0),
        "largest_closed_form_error_of_all": max(errors),
    }


def _figure(row: Row, name: str) -> float:
    figure = row.results[name]
    assert isinstance(figure, float)
    return figure


def _timed(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What a whole process prints, its time from start to exit, and the CPU time of it and its own processes."""
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "wse_sim", *words]
    cpu_s, started_s = _children_s(), time.perf_counter()
    done = subprocess.run(  # noqa: S603  our own program
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    return done.stdout, {"wall_s": time.perf_counter() - started_s, "cpu_s": _children_s() - cpu_s}


def _children_s() -> float:
    return sum(os.times()[2:4])  # in the program, and in the system for it


def _time_s(speed: Speed) -> float:
    return speed.cpu_s if isinstance(speed, ClosedFormSpeed | GpuSpeed) else speed.wall_s
