"""Points simulated one by one: a full steady step on wafers by the event engines, or the roofline of a GPU cluster."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import msgspec

from wse_sim.errors import SpecError
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.plan.keys import Point, Value, constants_of
from wse_sim.plan.sweep import Row, Sweep
from wse_sim.processes.pool import Spread
from wse_sim.simulate import run_from, simulate_quickly
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import Economics, load_economics

_WORK = "wse_sim.plan.simulated:simulate_chunk"
_CHUNK = 16  # points, about a tenth of a second: long beside the way to a process, short beside a sweep
RESULTS = (
    "kind",
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
_LAYOUT = ("dp", "tp", "pp")  # of GPUs


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Points that a process does in one go, with their indices."""

    points: tuple[tuple[int, Point], ...]

    @property
    def name(self) -> str:
        """For errors."""
        return f"points {self.points[0][0]} to {self.points[-1][0]}"


def simulated_sweep(points: Sequence[Point]) -> Sweep:
    """The sweep that simulates each of these points."""
    layout = _LAYOUT if any("gpu" in point for point in points) else ()
    return Sweep(kind="simulated", points=tuple(points), results=(*RESULTS, *layout))


def simulate_points(todo: Mapping[int, Point], spread: Spread) -> Generator[Sequence[Row], None, None]:
    """The rows of points, a chunk at a time."""
    points = tuple(todo.items())
    chunks = [Chunk(points=points[first : first + _CHUNK]) for first in range(0, len(points), _CHUNK)]
    return spread(_WORK, chunks, list[Row])


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


def _on_wafers(point: Point) -> dict[str, Value | None]:
    constants = constants_of(point)
    run = run_from(**_options(point, constants))
    simulation = simulate_quickly(run, load_cluster(run.system, run.num_csx, constants), _economics())
    return {
        "microbatch": simulation.microbatch,
        "bottleneck": simulation.bottleneck,
        **asdict(simulation.figures),
    }


def _on_gpus(point: Point) -> dict[str, Value | None]:
    gpu, num_gpus = str(point["gpu"]), int(point["num_gpus"])
    run = run_from(num_csx=1, **_options(point, ("gpu", "num_gpus")))  # for what the model's recipe says
    result = simulate_gpu(
        run.shape,
        gpu=gpu,
        num_gpus=num_gpus,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        density=run.density,
        tokens=run.tokens,
    )
    found = {name: getattr(result, name) for name in (*RESULTS, *_LAYOUT) if hasattr(result, name)}
    return {"n_steps": run.n_steps, "samples_per_s": run.batch_size / result.step_time_s, **found}


def _options(point: Point, without: Mapping[str, float] | tuple[str, ...]) -> dict[str, Any]:
    """The keys of a point as arguments of `run_from`."""
    names = {"sparse_wide": "is_sparse_wide"}
    return {names.get(name, name): value for name, value in point.items() if name not in without}


@cache
def _economics() -> Economics:
    """Read once: a step takes hardly longer."""
    return load_economics()
