"""Points simulated one by one: a full steady step on wafers by the event engines, or the roofline of a GPU cluster."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.gpu.layout import LAYOUT_FIELDS, Layout
from wse_sim.gpu.roofline import GpuResult, simulate_gpu
from wse_sim.processes.attempts import AnyTask
from wse_sim.processes.limits import n_usable_cpus
from wse_sim.processes.pool import AnyOutcome, Spread, in_this_process, on_processes
from wse_sim.runs import run_from
from wse_sim.simulation import simulate_quickly
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import Economics, load_economics
from wse_sim.spec.run import Run
from wse_sim.spec.sourced import Sourced
from wse_sim.sweeps.grid import values_by_key
from wse_sim.sweeps.keys import GPU_LAYOUT_READERS, RUN_READERS, Point, Value, constants_of
from wse_sim.sweeps.lazily import Lazy
from wse_sim.sweeps.sweep import Row, Sweep

_WORK = "wse_sim.sweeps.simulated:simulate_chunk"
_CHUNK = 16  # points, about a tenth of a second: long beside the way to a process, short beside a sweep
_CHUNKS_PER_PROCESS = 2  # fewer take less time than the start of a process
COMMON = ("system", "release", "seq_len", "density")  # of a run, whatever its sizes
_INPUTS = ("batch_size", "seq_len", "density", "tokens")  # with what was left out filled in
RESULTS = (
    "kind",
    "system",
    "num_csx",
    "release",
    *_INPUTS,
    "microbatch",
    "n_steps",
    "step_time_s",
    "tokens_per_s",
    "samples_per_s",
    "mfu",
    "dense_equivalent_mfu",
    "bottleneck",
    "run_time_s",
    "energy_j",
    "carbon_kg",
    "cost_usd",
)
_GPU_RESULTS = (
    *("tokens_per_s_per_gpu", "hfu", "memory_bytes_per_gpu", "gpu_software", "precision"),
    *(name for name in LAYOUT_FIELDS if name not in RESULTS),
)
_SOFTWARE = {"gpu_software": "software", "precision": "precision", "two_four": "is_two_four"}  # key: argument


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Points that a process does in one go, with their indices."""

    points: tuple[tuple[int, Point], ...]

    @property
    def name(self) -> str:
        """For errors."""
        if len(self.points) == 1:
            return "the point with " + ", ".join(f"{name} {value}" for name, value in self.points[0][1].items())
        return f"points {self.points[0][0]} to {self.points[-1][0]}"

    def parts(self) -> Sequence["Chunk"]:
        """Each point by itself."""
        return [Chunk(points=(point,)) for point in self.points]


class _Chunks(Lazy[Chunk]):
    """All points in chunks, each of which is made when it is asked for."""

    def __init__(self, points: Mapping[int, Point]) -> None:
        self._points = points
        self._indices = np.fromiter(points, np.int64, len(points))

    def __len__(self) -> int:
        return -(-len(self._indices) // _CHUNK)

    def at(self, place: int) -> Chunk:
        indices = self._indices[place * _CHUNK : (place + 1) * _CHUNK].tolist()
        return Chunk(points=tuple((index, self._points[index]) for index in indices))


def simulated_sweep(points: Sequence[Point]) -> Sweep:
    """The sweep that simulates each of these points."""
    of_gpus = _GPU_RESULTS if "gpu" in values_by_key(points) else ()
    return Sweep(kind="simulated", points=points, results=(*RESULTS, *of_gpus))


def simulate_points(todo: Mapping[int, Point], spread: Spread) -> Generator[Sequence[Row], None, None]:
    """The rows of points, a chunk at a time."""
    return spread(_WORK, _Chunks(todo), list[Row])


def on_cores(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, n_processes: int | None = None
) -> Generator[AnyOutcome, None, None]:
    """A `Spread` over so many processes; None = as many as there are CPUs, but here where the tasks are few."""
    n_workers = n_processes or min(n_usable_cpus(), len(tasks) // _CHUNKS_PER_PROCESS)
    if n_workers <= 1:
        return in_this_process(work, tasks, outcome)
    return on_processes(work, tasks, outcome, n_workers=n_workers)


def simulate_chunk(chunk: Chunk) -> list[Row]:
    """The rows of a chunk."""
    return [simulate_point(index, point) for index, point in chunk.points]


def simulate_point(index: int, point: Point) -> Row:
    """The row of one point; that it hits a wall is a row too."""
    try:
        results = _on_gpus(point) if "gpu" in point else _on_wafers(point)
    except (SpecError, OverflowError) as error:  # a constant may be so far off that no clock holds the step
        return Row(index, "infeasible", str(error))
    return Row(index, results={"kind": "simulated", **results})


def assumed_constants(sweep: Sweep, rows: Sequence[Row]) -> dict[str, Sourced]:
    """Constants behind these rows for which nothing better than an assumption is known, by name."""
    return assumed_constants_of([sweep.points[row.index] for row in rows if row.status == "ok"])


def assumed_constants_of(points: Sequence[Point]) -> dict[str, Sourced]:
    """The same of points; without those that every point gives, on wafers or on GPUs."""
    wafers, gpus = ([p for p in points if ("gpu" in p) is is_on_gpus] for is_on_gpus in (False, True))
    of_wafers = shipped_economics().assumed_constants if wafers else {}
    for point in {point.get("system"): point for point in wafers}.values():
        system = str(point["system"]) if "system" in point else run_of(point).system
        of_wafers |= load_cluster(system, 1).assumed_constants
    of_gpus: dict[str, Sourced] = {}
    for point in {(point["gpu"], point.get("gpu_software")): point for point in gpus}.values():
        of_gpus |= _gpu_result(point)[1].assumed_constants
    pairs = ((of_wafers, wafers), (of_gpus, gpus))
    found = {name: c for of, given in pairs for name, c in of.items() if not all(name in point for point in given)}
    return dict(sorted(found.items()))


def _on_wafers(point: Point) -> dict[str, Value | None]:
    run = run_of(point)
    simulation = simulate_quickly(run, load_cluster(run.system, run.num_csx, constants_of(point)), shipped_economics())
    return {
        **{name: getattr(run, name) for name in ("system", "num_csx", "release", *_INPUTS)},
        "microbatch": simulation.microbatch,
        "bottleneck": simulation.bottleneck,
        **asdict(simulation.figures),
    }


def _on_gpus(point: Point) -> dict[str, Value | None]:
    run, result = _gpu_result(point)
    return {
        **{name: getattr(run, name) for name in (*_INPUTS, "n_steps")},
        "samples_per_s": run.batch_size / result.step_time_s,
        "gpu_software": result.software,
        **{name: getattr(result, name) for name in (*RESULTS, *_GPU_RESULTS) if hasattr(result, name)},
    }


def _gpu_result(point: Point) -> tuple[Run, GpuResult]:
    """What a GPU cluster makes of a point, and the run that it is, with what the model's recipe says."""
    run = run_of(point, num_csx=1)
    layout: dict[str, Any] = {name.removesuffix("_gpu"): point[name] for name in GPU_LAYOUT_READERS if name in point}
    software: dict[str, Any] = {_SOFTWARE[name]: point[name] for name in _SOFTWARE if name in point}
    result = simulate_gpu(
        run.shape,
        gpu=str(point["gpu"]),
        num_gpus=int(point["num_gpus"]),
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        density=run.density,
        tokens=run.tokens,
        fixed=Layout(**layout),
        constants=constants_of(point),
        economics=shipped_economics(),
        **software,
    )
    return run, result


def run_of(point: Point, **others: int) -> Run:
    """The run that a point describes: its keys but for those of GPUs and the constants.

    Parameters
    ----------
    others :
        Further keys.

    Raises
    ------
    SpecError
        When there is no such run.
    """
    given = {name: value for name, value in point.items() if name in RUN_READERS}
    if "sparse_wide" in given:
        given["is_sparse_wide"] = given.pop("sparse_wide")
    return run_from(**given, **others)  # type: ignore[arg-type]  # the readers have seen to it


@cache
def shipped_economics() -> Economics:
    """Read once: a step takes hardly longer."""
    return load_economics()
