"""Random programs with long runs of alike tiles, passes, micro-batches and steps: food for the fast-forward.

Passes come in one to three stretches, each of one to three passes repeated up to twelve times, so that the bottleneck
changes in the middle of the step. Passes follow, wait for and are fed by others near and far. Once in a while drains,
updates and lags take a hundred times as long as the rest, so that what they hold up comes long after what does not.
"""

from typing import Any

import numpy as np

from tests.engine.programs import SLOTS
from wse_sim.schedule.program import Program


def long_program(seed: int) -> Program:
    rng = np.random.default_rng(seed)
    n_lanes = int(rng.integers(1, 4))
    longest_ps = int(rng.choice([2, 5, 30, 1000]))
    kind = _stretches(rng)
    tree = _tree(rng)
    n_classes, n_leaves = int(rng.integers(1, 4)), len(tree["leaf_parent"])
    tables = _tables(rng, int(kind.max()) + 1, n_classes, n_leaves, longest_ps)
    by_pass = {name: np.ascontiguousarray(table[..., kind]) for name, table in tables.items()}
    return Program(
        n_steps=int(rng.integers(1, 8)),
        n_microbatches=int(rng.integers(1, 7)),
        n_lanes=n_lanes,
        n_tiles=n_lanes * int(rng.integers(1, 30 // n_lanes)),
        **{name: int(rng.integers(1, 5)) for name in SLOTS},
        **tree,
        **by_pass,
        **_dependencies(rng, by_pass),
        edge_class=rng.integers(0, n_classes, len(tree["node_parent"]) + n_leaves),
        latency_ps=rng.integers(1, longest_ps + 1, n_classes),
        feed_slots=rng.integers(1, 5, len(by_pass["feed_ps"])),
        jitter_ps=np.zeros((n_leaves, 0), np.int64),
    )


def _stretches(rng: np.random.Generator) -> np.ndarray:
    """(n_passes,): the kind of each pass."""
    kinds: list[int] = []
    for _ in range(rng.integers(1, 4)):
        first = max(kinds, default=-1) + 1
        kinds += list(range(first, first + int(rng.integers(1, 4)))) * int(rng.integers(1, 13))
    return np.array(kinds)


def _tree(rng: np.random.Generator) -> dict[str, Any]:
    n_nodes = int(rng.integers(1, 4))
    node_parent = np.array([-1] + [int(rng.integers(0, n)) for n in range(1, n_nodes)])
    childless = [n for n in range(n_nodes) if n not in node_parent]
    leaf_parent = np.append(childless, rng.integers(0, n_nodes, rng.integers(0, 4))).astype(np.int64)
    return {"node_parent": node_parent, "leaf_parent": leaf_parent}


def _tables(rng: np.random.Generator, n_kinds: int, n_classes: int, n_leaves: int, longest_ps: int) -> dict[str, Any]:
    """What each kind of pass has, and how long it takes."""

    def times(*shape: int) -> np.ndarray:
        return rng.integers(1, longest_ps + 1, (*shape, n_kinds))

    def some(share: float, *shape: int) -> np.ndarray:
        return (rng.random((*shape, n_kinds)) < share).astype(np.int64)

    def now_and_then_slow() -> np.ndarray:
        return times() * rng.choice([1, 1, 1, 100], n_kinds)

    is_last = np.arange(n_kinds) == n_kinds - 1
    has_gradient = is_last.astype(np.int64) if rng.random() < 0.5 else some(0.5)
    has_gradient[rng.integers(n_kinds)] |= not has_gradient.any()
    compute_ps = times(n_leaves)
    if rng.random() < 0.5:
        compute_ps[:] = compute_ps[0]  # leaves alike
    n_feeds = int(rng.integers(0, 3))
    return {
        "has_weights": some(0.75),
        "has_gradient": has_gradient,
        "down_ps": times(n_classes),
        "up_ps": times(n_classes),
        "compute_ps": compute_ps,
        "lag_ps": now_and_then_slow() * int(rng.integers(0, 2)),
        "feed_ps": times(n_feeds) * some(0.6, n_feeds),
        "drain_ps": now_and_then_slow() * some(0.4),
        "reduce_ps": times(),
        "update_ps": now_and_then_slow(),
        "accumulate_ps": times(),
    }


def _dependencies(rng: np.random.Generator, by_pass: dict[str, np.ndarray]) -> dict[str, Any]:
    """Mirrored as in a backward pass, or any; in some programs, late passes wait for the last update of all."""
    n_passes = len(by_pass["has_gradient"])
    passes = np.arange(n_passes)
    is_mirrored = rng.random() < 0.5
    distance = rng.integers(0, 4) if is_mirrored else rng.integers(0, 6, n_passes)
    with_gradient = np.flatnonzero(by_pass["has_gradient"])
    mirrored = with_gradient[::-1][np.minimum(passes, len(with_gradient) - 1)]
    late = np.where(passes >= rng.integers(n_passes), with_gradient[-1], -1)
    waits_for = mirrored if is_mirrored else late if rng.random() < 0.5 else rng.choice(with_gradient, n_passes)
    feed_after = np.full(by_pass["feed_ps"].shape, -1)
    for p in passes:
        drained = np.flatnonzero(by_pass["drain_ps"][:p])
        if len(drained):
            any_drained = rng.choice([drained[0], drained[-1], rng.choice(drained)], len(feed_after))
            is_mirror_drained = is_mirrored and n_passes - 1 - p in drained
            feed_after[:, p] = n_passes - 1 - p if is_mirror_drained else any_drained
    feed_after[rng.random(feed_after.shape) < rng.choice([0.2, 0.8])] = -1
    return {
        "follows": np.where((distance > 0) & (passes >= distance), passes - distance, -1),
        "feed_after": feed_after,
        "waits_for": np.where(rng.random(n_passes) < rng.choice([0.2, 0.9]), waits_for, -1),
    }
