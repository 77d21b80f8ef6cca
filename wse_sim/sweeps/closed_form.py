"""Points priced in closed form, many at once; what it has no term for is simulated by the event engines, one by one."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.processes.pool import Spread
from wse_sim.report.sweep_words import CONTENTION
from wse_sim.schedule.estimate import STREAMS, knows
from wse_sim.schedule.weight_streaming import fitted
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.run import Run
from wse_sim.sweeps.columns import FASTEST, Sizes, fitting, price
from wse_sim.sweeps.grid import Chosen, Grid, Indices
from wse_sim.sweeps.keys import Point, Value, constants_of
from wse_sim.sweeps.simulated import (
    COMMON,
    run_of,
    shipped_economics,
    simulate_point,
    simulate_points,
    simulated_sweep,
)
from wse_sim.sweeps.sweep import Row, Sweep

CLOSED_FORM, EVENT, ROOFLINE = "closed form", "event", "roofline"  # what a row came from
_AT_ONCE = 4096  # points, a tenth of a second
_SIZES = ("num_csx", "batch_size", "microbatch", "tokens")  # keys in which the points of a group may differ
# Values of which the closed form knows nothing else.
_ONLY: Mapping[str, Value] = {"jitter": 0.0, "straggler": 1.0, "sparsity_algorithm": "static"}
_BOTTLENECKS = {
    "wafer": "wafer compute",
    "weights": "weight stream",
    "gradients": "gradient stream",
    "optimizer": "optimizer",
    "activations": "activation servers",
    "input": "input workers",
}
_WORDS = np.array([_BOTTLENECKS[stream] for stream in STREAMS])

Points = Sequence[tuple[int, Point]]


def closed_form_sweep(points: Sequence[Point]) -> Sweep:
    """The sweep that prices each of these points: it has the columns of one that simulates them, and two more."""
    sweep = simulated_sweep(points)
    return Sweep(kind=sweep.kind, points=sweep.points, results=(*sweep.results, "engine", CONTENTION))


def price_points(todo: Mapping[int, Point], spread: Spread) -> Generator[Sequence[Row], None, None]:
    """The rows of points: first those that have a closed form, a group after another, then the others.

    Parameters
    ----------
    spread :
        How the others are simulated. To price a point takes less time than to hand it to another process.
    """
    others: list[Indices] = []
    for group in _groups(todo):
        if not _has_closed_form(todo[int(group[0])]):
            others.append(group)
            continue
        for first in range(0, len(group), _AT_ONCE):
            points = [(index, todo[index]) for index in group[first : first + _AT_ONCE].tolist()]
            with np.errstate(all="ignore"):  # a constant may be so far off that no number holds the step
                priced = list(_rows(points))
            yield priced
    without = _Listed(todo, np.sort(np.concatenate([np.empty(0, np.int64), *others])))
    with closing(simulate_points(without, spread)) as simulated:
        for rows in simulated:
            yield [_told(row, ROOFLINE if "gpu" in todo[row.index] else EVENT) for row in rows]


def _has_closed_form(point: Point) -> bool:
    """Whether the closed form knows all that the point says: it is on wafers without jitter, stragglers and changing
    masks, in a cluster that `knows`.
    """
    if "gpu" in point or any(name in _ONLY and value != _ONLY[name] for name, value in point.items()):
        return False
    try:
        return knows(_run_and_cluster(point)[1])
    except (SpecError, OverflowError):
        return True  # its row will say so


def _groups(todo: Mapping[int, Point]) -> Iterator[Indices]:
    """The indices of points that have the same keys, and the same values of all but the sizes, together."""
    if isinstance(todo, Chosen) and isinstance(todo.points, Grid):
        chosen = (indices[todo.is_chosen[indices]] for indices in todo.points.groups(_SIZES))
        yield from (indices for indices in chosen if len(indices))
        return
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, point in todo.items():
        same = tuple([item[0] if item[0] in _SIZES else item for item in point.items()])
        groups.setdefault(same, []).append(index)
    yield from (np.array(indices, np.int64) for indices in groups.values())


class _Listed(Mapping[int, Point]):
    """Points by the indices that are listed."""

    def __init__(self, points: Mapping[int, Point], indices: Indices) -> None:
        self._points, self._indices = points, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices.tolist())

    def __getitem__(self, index: int) -> Point:
        return self._points[index]


def _rows(group: Points) -> Iterator[Row]:
    try:
        run, cluster = _run_and_cluster(group[0][1])
        sizes = _sizes(run, [point for _, point in group])
        fits = fitting(run, cluster, sizes)
    except (SpecError, OverflowError):
        yield from (_told(simulate_point(index, point), EVENT) for index, point in group)
        return
    results = _results(run, cluster, sizes[fits])
    for (index, point), fits_here in zip(group, fits.tolist(), strict=True):
        found = next(results) if fits_here else None
        yield Row(index, results=found) if found else _hit(run, index, point)


def _run_and_cluster(point: Point) -> tuple[Run, Cluster]:
    """What points that are like `point` in all but their sizes have in common."""
    unsized = {name: value for name, value in point.items() if name not in _SIZES}
    # Any sizes will do, but what the points leave out comes from the model's recipe.
    run = run_of(unsized, **({"num_csx": 1, "batch_size": 1} if "batch_size" in point else {}))
    return run, load_cluster(run.system, 1, constants_of(point))


def _sizes(run: Run, points: Sequence[Point]) -> Sizes:
    """Of points with the same keys; what they leave out is that of `run`."""

    def column(name: str, otherwise: float) -> Any:
        if name not in points[0]:
            return np.full(len(points), otherwise)
        return np.array([point[name] for point in points], np.float64 if name == "tokens" else np.int64)

    return Sizes(
        num_csx=column("num_csx", run.num_csx),
        batch_size=column("batch_size", run.batch_size),
        microbatch=column("microbatch", FASTEST),
        tokens=column("tokens", run.tokens),
    )


def _results(run: Run, cluster: Cluster, sizes: Sizes) -> Iterator[dict[str, Value | None] | None]:
    """The results of configurations that fit; None where one is no number."""
    if not len(sizes):
        return
    priced = price(run, cluster, sizes, shipped_economics())
    figures = {name: getattr(priced.figures, name) for name in priced.figures.__dataclass_fields__}
    figures[CONTENTION] = priced.contention
    columns = {
        **{name: getattr(sizes, name) for name in ("num_csx", "batch_size", "tokens")},
        "microbatch": priced.microbatch,
        **figures,
        "bottleneck": _WORDS[priced.bound],
    }
    common = {"kind": "simulated", **{name: getattr(run, name) for name in COMMON}, "engine": CLOSED_FORM}
    is_number = np.asarray(np.isfinite(list(figures.values())).all(axis=0)).tolist()
    for is_one, *row in zip(is_number, *(column.tolist() for column in columns.values()), strict=True):
        yield {**common, **dict(zip(columns, row, strict=True))} if is_one else None


def _hit(run: Run, index: int, point: Point) -> Row:
    """The row of a point that hits a wall: the message is the simulator's, and so is the row where there is none."""
    given = {name: point[name] for name in _SIZES if name in point}
    try:
        sized = msgspec.structs.replace(run, **given)
        fitted(sized, load_cluster(sized.system, sized.num_csx, constants_of(point)))
    except SpecError as error:
        return Row(index, "infeasible", str(error))
    return _told(simulate_point(index, point), EVENT)


def _told(row: Row, engine: str) -> Row:
    """The same row, with what it came from."""
    return Row(row.index, row.status, row.reason, {**row.results, "engine": engine} if row.results else {})
