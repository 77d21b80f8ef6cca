"""Random programs for the engines: small trees, few tiles, times from a small range so that ties are common."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from wse_sim.schedule.program import Program

SLOTS = ("node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots", "drain_slots")


WholeNumber = Callable[[int, int], int]  # from one to the other, both included


def many_steps() -> st.SearchStrategy[Program]:
    """Small programs over so many steps that every ring turns many times."""
    return programs().filter(lambda p: p.n_tasks < SMALL).map(over_many_steps)


SMALL = 600  # tasks


def over_many_steps(program: Program) -> Program:
    """The program without its jitter, over 12 steps."""
    return replace(program, n_steps=12, jitter_ps=np.zeros((program.n_leaves, 0), np.int64))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """As `random_program`, with its larger choices left to hypothesis, which shrinks them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return _program(lambda low, high: draw(st.integers(low, high)), rng)


def random_program(seed: int) -> Program:
    """Mostly up to 7 leaves; one program in 40 or so is wide, with up to 64 leaves and few tiles."""
    rng = np.random.default_rng(seed)
    return _program(lambda low, high: int(rng.integers(low, high, endpoint=True)), rng)


def _program(whole: WholeNumber, rng: np.random.Generator) -> Program:
    is_wide = whole(0, 39) == 17  # not the least: shrinking leads away from it
    n_passes = whole(1, 2 if is_wide else 4)
    n_lanes = whole(1, 3)
    longest_ps = [1, 3, 20, 10**6][whole(0, 3)]
    sizes = {
        "n_steps": whole(1, 2 if is_wide else 3),
        "n_microbatches": whole(1, 1 if is_wide else 2),
        "n_lanes": n_lanes,
        "n_tiles": n_lanes * whole(1, 1 if is_wide else 4 // n_lanes),
        **{name: whole(1, 4) for name in SLOTS},
    }
    n_occurrences = sizes["n_steps"] * sizes["n_microbatches"] * n_passes
    tree = _tree(rng, whole(1, 4), whole(9, 64) if is_wide else whole(1, 7))
    n_classes, n_leaves = whole(1, 3), len(tree["leaf_parent"])
    return Program(
        **sizes,
        **tree,
        **_passes(rng, n_passes, whole(0, 2), longest_ps),
        edge_class=rng.integers(0, n_classes, len(tree["node_parent"]) + n_leaves),
        down_ps=rng.integers(1, longest_ps + 1, (n_classes, n_passes)),
        up_ps=rng.integers(1, longest_ps + 1, (n_classes, n_passes)),
        latency_ps=rng.integers(1, longest_ps + 1, n_classes),
        compute_ps=rng.integers(1, longest_ps + 1, (n_leaves, n_passes)),
        jitter_ps=rng.integers(0, longest_ps + 1, (n_leaves, n_occurrences * whole(0, 1))),
        is_half_duplex=bool(whole(0, 1)),
    )


def _tree(rng: np.random.Generator, n_nodes: int, n_leaves: int) -> dict[str, Any]:
    node_parent = np.array([-1] + [int(rng.integers(0, n)) for n in range(1, n_nodes)])
    # Every node needs a child: leaves go to childless nodes first.
    childless = [n for n in range(n_nodes) if n not in node_parent]
    spread = rng.integers(0, n_nodes, max(0, n_leaves - len(childless)))
    return {"node_parent": node_parent, "leaf_parent": np.append(childless, spread).astype(np.int64)}


def _passes(rng: np.random.Generator, n_passes: int, n_feeds: int, longest_ps: int) -> dict[str, Any]:
    """What each pass has, how long that takes, and on which passes it depends."""

    def times(*shape: int) -> np.ndarray:
        return rng.integers(1, longest_ps + 1, shape)

    def some(share: float, *shape: int) -> np.ndarray:
        return (rng.random(shape) < share).astype(np.int64)

    def earlier(chosen: np.ndarray, of_pass: int) -> int:
        """A pass before `of_pass` among the chosen, or -1."""
        return int(rng.choice([-1, *np.flatnonzero(chosen[:of_pass])]))

    has_gradient = some(0.5, n_passes)
    has_gradient[int(rng.integers(0, n_passes))] = 1
    with_gradient = np.flatnonzero(has_gradient)
    drain_ps = some(0.5, n_passes) * times(n_passes)
    return {
        "has_weights": some(0.75, n_passes),
        "has_gradient": has_gradient,
        "follows": np.array([earlier(np.ones(n_passes), i) for i in range(n_passes)]),
        "lag_ps": times(n_passes) * some(0.8, n_passes),
        "feed_ps": times(n_feeds, n_passes) * some(0.6, n_feeds, n_passes),
        "feed_slots": rng.integers(1, 5, n_feeds),
        "feed_after": np.array(
            [[earlier(drain_ps, i) for i in range(n_passes)] for _ in range(n_feeds)], np.int64
        ).reshape(n_feeds, n_passes),
        "drain_ps": drain_ps,
        "reduce_ps": times(n_passes),
        "update_ps": times(n_passes),
        "accumulate_ps": times(n_passes),
        "waits_for": np.where(some(0.6, n_passes) == 1, rng.choice(with_gradient, n_passes), -1),
    }


def chain(**changes: Any) -> Program:
    """Source, one node, one leaf; a pass of one tile that waits for its own update, where `changes` say nothing else.

    Passes are as many as the first given table by pass has columns; tables not given repeat their one time.
    """
    given = {name: np.array(value) if isinstance(value, list) else value for name, value in changes.items()}
    n_passes = next((given[name].shape[-1] for name in _BY_PASS if name in given), 1)
    by_pass = {name: np.full((1,) * is_table + (n_passes,), value) for name, (value, is_table) in _BY_PASS.items()}
    n_feeds = len(given.get("feed_slots", ()))
    sizes = dict.fromkeys(("n_steps", "n_microbatches", "n_tiles", "n_lanes", *SLOTS), 1)
    rest = {
        "node_parent": np.array([-1]),
        "leaf_parent": np.array([0]),
        "edge_class": np.array([0, 0]),
        "latency_ps": np.array([3]),
        "jitter_ps": np.zeros((1, 0), np.int64),
        "waits_for": np.where(np.arange(n_passes) == n_passes - 1, n_passes - 1, -1),
        "has_gradient": (np.arange(n_passes) == n_passes - 1).astype(np.int64),
        "feed_ps": np.zeros((n_feeds, n_passes), np.int64),
        "feed_slots": np.zeros(0, np.int64),
        "feed_after": np.zeros((n_feeds, n_passes), np.int64),
    }
    return Program(**{**sizes, **by_pass, **rest, **given})


_BY_PASS = {
    "has_weights": (1, False),
    "down_ps": (2, True),
    "up_ps": (7, True),
    "compute_ps": (5, True),
    "follows": (-1, False),
    "lag_ps": (0, False),
    "drain_ps": (0, False),
    "reduce_ps": (4, False),
    "update_ps": (6, False),
    "accumulate_ps": (1, False),
}
