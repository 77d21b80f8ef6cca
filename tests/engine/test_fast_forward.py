"""What the max-plus engine leaves out changes no time: fast-forwarded and merged programs end as the whole ones do."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.long_programs import long_program
from tests.engine.programs import programs
from wse_sim.engine import max_plus
from wse_sim.engine.max_plus import max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.quotient import quotient
from wse_sim.schedule.program import Program

SEEDS = st.integers(0, 2**32 - 1)


def n_tiles_run(program: Program, *, is_fast_forward: bool) -> int:
    memory = max_plus._run_whole(program, is_recording=False, is_fast_forward=is_fast_forward)
    return int(memory[max_plus.N_TILES_RUN])


def n_tiles_in_all(program: Program) -> int:
    return program.n_steps * program.tiles_per_step


def with_deep_buffers(program: Program, seed: int) -> Program:
    """The program with buffers of one to three passes."""
    draws = np.random.default_rng(seed)
    names = ("node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots", "drain_slots")
    n = program.n_tiles
    slots = {name: int(draws.integers(n, 3 * n + 1)) for name in names}
    return replace(program, feed_slots=draws.integers(n, 3 * n + 1, program.n_feeds), **slots)  # type: ignore[arg-type]


def transformer(**changes: object) -> Program:
    """40 blocks forward and back, alike; 325 tiles each; 16 leaves under 4 nodes; activations drained and fed back."""
    n_blocks, n_passes = 40, 80
    is_forward = np.arange(n_passes) < n_blocks
    mirror = n_passes - 1 - np.arange(n_passes)
    given = {
        "n_steps": 1,
        "n_microbatches": 1,
        "n_tiles": 325,
        "n_lanes": 1,
        "node_parent": np.array([-1, 0, 0, 0, 0]),
        "leaf_parent": 1 + np.arange(16) // 4,
        "edge_class": np.repeat([0, 1, 2], [1, 4, 16]),
        "has_weights": np.ones(n_passes, np.int64),
        "has_gradient": (~is_forward).astype(np.int64),
        "down_ps": np.full((3, n_passes), 100),
        "up_ps": np.full((3, n_passes), 100),
        "latency_ps": np.array([50, 30, 30]),
        "compute_ps": np.tile(np.where(is_forward, 300, 600), (16, 1)),
        "jitter_ps": np.zeros((16, 0), np.int64),
        "follows": np.arange(n_passes) - 1,
        "lag_ps": np.full(n_passes, 5_000),
        "feed_ps": np.where(is_forward, 0, 50)[None],
        "feed_slots": np.array([2]),
        "feed_after": np.where(is_forward, -1, mirror)[None],
        "drain_ps": np.where(is_forward, 50, 0),
        "reduce_ps": np.full(n_passes, 20),
        "update_ps": np.full(n_passes, 80),
        "accumulate_ps": np.full(n_passes, 40),
        "waits_for": np.where(is_forward, mirror, -1),
        **dict.fromkeys(("node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots", "drain_slots"), 4),
    }
    return Program(**{**given, **changes})  # type: ignore[arg-type]


@settings(max_examples=1_200)
@given(SEEDS)
def test_fast_forward_equals_full_run_to_the_tick(seed: int) -> None:
    program = long_program(seed)
    fast = max_plus_step_ends_ps(program)
    assert fast.tolist() == max_plus_step_ends_ps(program, is_fast_forward=False).tolist()


@settings(max_examples=300)
@given(SEEDS)
def test_fast_forward_is_exact_where_buffers_hold_whole_passes(seed: int) -> None:
    """Then each server does a whole pass at once."""
    program = with_deep_buffers(long_program(seed), seed)
    assert max_plus._is_pass_at_once(program)
    fast = max_plus_step_ends_ps(program)
    assert fast.tolist() == max_plus_step_ends_ps(program, is_fast_forward=False).tolist()


def test_fast_forward_leaves_most_tiles_out() -> None:
    """Of the random long programs no more than a third of the tiles run, and few run whole."""
    of_all = [long_program(seed) for seed in range(200)]
    n_run = np.array([n_tiles_run(program, is_fast_forward=True) for program in of_all])
    n_all = np.array([n_tiles_in_all(program) for program in of_all])
    assert n_run.sum() < n_all.sum() / 3
    assert (n_run < n_all).mean() > 0.8
    assert n_tiles_run(of_all[0], is_fast_forward=False) == n_all[0]


@pytest.mark.parametrize(
    ("changes", "n_most"),
    [
        ({}, 500),
        ({"n_steps": 200, "n_tiles": 8}, 2_000),
        ({"n_microbatches": 300, "n_tiles": 4}, 2_000),
        # No two passes alike, and the wires the bottleneck of half of them: only tiles are.
        ({"compute_ps": np.tile(np.arange(60, 140), (16, 1))}, 8_000),
    ],
    ids=["passes", "steps", "micro-batches", "tiles"],
)
def test_a_transformers_step_is_mostly_left_out(changes: dict[str, object], n_most: int) -> None:
    program = transformer(**changes)
    assert n_tiles_run(program, is_fast_forward=True) < n_most < n_tiles_in_all(program) / 3
    fast, full = (max_plus_step_ends_ps(program, is_fast_forward=fast) for fast in (True, False))
    assert fast.tolist() == full.tolist()


def test_updates_that_bind_late_in_a_run_of_passes_are_not_passed_over() -> None:
    """The source is free of the step before for 20 passes, steady, and then has to wait for its last update."""
    n_passes = 41
    program = transformer(
        n_steps=3,
        n_tiles=4,
        has_gradient=(np.arange(n_passes) == 40).astype(np.int64),
        waits_for=np.where(np.arange(n_passes) == 20, 40, -1),
        update_ps=np.full(n_passes, 20_000),
        compute_ps=np.full((16, n_passes), 100),
        follows=np.full(n_passes, -1),
        **{name: np.full((3, n_passes), 100) for name in ("down_ps", "up_ps")},
        **{name: np.ones(n_passes, np.int64) for name in ("has_weights", "reduce_ps", "accumulate_ps")},
        **{name: np.zeros(n_passes, np.int64) for name in ("lag_ps", "drain_ps")},
        feed_ps=np.zeros((0, n_passes), np.int64),
        feed_slots=np.zeros(0, np.int64),
        feed_after=np.zeros((0, n_passes), np.int64),
    )
    finish = run_max_plus(program)
    waited = finish.update[3]  # the step's last update
    sent = finish.down[0].reshape(3, n_passes, 4)[1, 20, 3] - 100
    assert sent == waited  # it binds
    ends = finish.compute[:, program.tiles_per_step - 1 :: program.tiles_per_step].max(axis=0)
    assert max_plus_step_ends_ps(program).tolist() == ends.tolist()


def test_nothing_is_left_out_where_there_is_jitter() -> None:
    program = transformer(n_tiles=4, jitter_ps=np.zeros((16, 80), np.int64))
    assert n_tiles_run(program, is_fast_forward=True) == n_tiles_in_all(program)


# ---- alike subtrees --------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(programs(), st.booleans())
def test_merged_program_has_the_times_of_the_whole(program: Program, has_jitter: bool) -> None:
    n_leaves = program.n_leaves
    program = replace(
        program,
        is_half_duplex=False,
        compute_ps=program.compute_ps[np.arange(n_leaves) % 2],
        jitter_ps=program.jitter_ps[np.arange(n_leaves) % 2 if has_jitter else slice(None)],
    )
    whole, merged = run_max_plus(program), run_max_plus(quotient(program))
    assert set(map(tuple, merged.compute)) == set(map(tuple, whole.compute))
    assert set(map(tuple, merged.down)) == set(map(tuple, whole.down))
    assert (merged.update == whole.update).all()


def test_a_wide_tree_of_alike_leaves_is_one_branch() -> None:
    merged = quotient(transformer(n_tiles=1))
    assert (merged.node_parent.tolist(), merged.leaf_parent.tolist()) == ([-1, 0], [1])
    assert merged.edge_class.tolist() == [0, 1, 2]


def test_a_straggler_keeps_a_branch_of_its_own() -> None:
    whole = transformer(n_tiles=2)
    compute_ps = whole.compute_ps.copy()
    compute_ps[6] *= 2
    program = replace(whole, compute_ps=compute_ps)
    merged = quotient(program)
    assert (merged.node_parent.tolist(), merged.leaf_parent.tolist()) == ([-1, 0, 0], [1, 2, 2])
    assert run_max_plus(merged).makespan_ps == run_max_plus(program).makespan_ps > run_max_plus(whole).makespan_ps


def test_leaves_with_different_jitter_are_not_merged() -> None:
    jitter_ps = np.arange(16 * 80).reshape(16, 80)
    assert quotient(transformer(n_tiles=1, jitter_ps=jitter_ps)).n_leaves == 16
    assert quotient(transformer(n_tiles=1, jitter_ps=jitter_ps[np.arange(16) // 4])).n_leaves == 4
