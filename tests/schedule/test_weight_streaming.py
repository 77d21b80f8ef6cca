"""A step as a program: what a symmetric tree, more tiles, more systems and sparse weights may and may not change."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.engine.des import run_des
from wse_sim.errors import SpecError
from wse_sim.report.metrics import breakdown
from wse_sim.schedule.placement import largest_microbatch
from wse_sim.schedule.tree import one_branch, swarmx_tree
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulate import simulate, step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import convert, data_path, load_model, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.spec.run import Run


def small_run(**changes: object) -> Run:
    shape = ModelShape(name="small", n_layers=3, d_model=256, n_heads=4, d_ff=1024, vocab_size=1000, seq_len=128)
    given: dict[str, object] = {"system": "cs2", "num_csx": 4, "batch_size": 64, "seq_len": 128, "tokens": 1e6}
    return Run(shape=shape, **{**given, **changes})  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.sampled_from([1.0, 0.3]), st.sampled_from([2, 8]))
def test_one_branch_has_the_times_of_the_whole_tree(
    num_csx: int, fan_out: int, density: float, microbatch: int
) -> None:
    run = small_run(num_csx=num_csx, batch_size=8 * num_csx, density=density, microbatch=microbatch)
    cluster = load_cluster("cs2", num_csx).with_constant("swarmx.fan_out", fan_out)
    whole = run_des(plan_step(run, cluster, n_tiles=3).program)
    branch = run_des(plan_step(run, cluster, n_tiles=3, is_one_branch=True).program)
    assert (whole.compute == branch.compute[0]).all()
    assert (whole.update == branch.update).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(2, 16))
def test_tree_is_a_tree_within_its_fan_out(n_leaves: int, fan_out: int) -> None:
    tree = swarmx_tree(n_leaves, fan_out)
    children = np.bincount(np.concatenate([tree.node_parent[1:], tree.leaf_parent]), minlength=len(tree.node_parent))
    assert children.max() <= fan_out
    assert children.min() >= 1
    assert (tree.node_parent[1:] < np.arange(1, len(tree.node_parent))).all()
    assert len(one_branch(tree).leaf_parent) == 1


@pytest.mark.parametrize(("model", "density"), [("590m", 1.0), ("2.7b", 0.25), ("13b", 0.1)])
def test_finer_tiles_move_the_step_time_by_less_than_one_percent(model: str, density: float) -> None:
    preset = load_model(model)
    run = Run(shape=preset.shape, system="cs2", num_csx=4, batch_size=480, seq_len=2048, tokens=1e9, density=density)
    cluster = load_cluster("cs2", 4)
    coarse, fine = (plan_step(run, cluster, n_tiles=n, is_one_branch=True).program for n in (16, 64))
    ends = [
        run_des(program).compute[0, program.tiles_per_step - 1 :: program.tiles_per_step] for program in (coarse, fine)
    ]
    steps = [int(end[-1] - end[-2]) for end in ends]
    assert steps[0] == pytest.approx(steps[1], rel=0.01)


def test_density_one_equals_dense_bit_for_bit() -> None:
    dense = simulate(small_run())
    sparse = simulate(small_run(density=1.0, seed=7))
    assert dense.finish.same_times_as(sparse.finish)
    assert dense.result.speedup_vs_dense == 1.0
    assert dense.result.mfu == dense.result.dense_equivalent_mfu


def test_steps_repeat_once_the_pipe_is_full() -> None:
    run, cluster = small_run(density=0.5), load_cluster("cs2", 4)
    program = replace(plan_step(run, cluster).program, n_steps=8)
    ends = run_des(program).compute[0, program.tiles_per_step - 1 :: program.tiles_per_step]
    assert len(set(np.diff(ends)[1:].tolist())) == 1


def test_microbatches_accumulate_and_only_the_last_updates() -> None:
    plan = plan_step(small_run(microbatch=4), load_cluster("cs2", 4))
    assert plan.program.n_microbatches == 4
    assert (plan.program.accumulate_ps <= plan.program.update_ps).all()


def test_documented_microbatches_come_out_of_the_memory_arithmetic() -> None:
    """One constant, 37 bytes per token and channel, for six models from 1.3B to 175B: within 7 %."""
    rows = read_toml(data_path("validation", "microbatch.toml"))["row"]
    assert len(rows) == 6
    for row in rows:
        fields = ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len")
        shape = convert({"name": row["model"], **{f: row[f] for f in fields}}, ModelShape, "microbatch.toml")
        largest = largest_microbatch(shape, load_cluster("cs2", 1).csx, seq_len=2048)
        assert largest == pytest.approx(row["microbatch"], rel=0.07), row["model"]


def test_more_bandwidth_or_faster_cores_never_slow_a_step_down() -> None:
    run, cluster = small_run(density=0.1), load_cluster("cs2", 4)
    base = step_time_s(run, cluster)
    for name in (
        "memoryx.egress_bytes_per_s",
        "swarmx.link_bytes_per_s",
        "csx.io_bytes_per_s",
        "csx.linear_efficiency",
    ):
        part, field = name.split(".")
        assert step_time_s(run, cluster.with_constant(name, 2 * getattr(getattr(cluster, part), field))) <= base


def test_starved_weight_stream_becomes_the_bottleneck() -> None:
    run, cluster = small_run(), load_cluster("cs2", 4)
    plan = plan_step(run, cluster.with_constant("memoryx.egress_bytes_per_s", 1e8))
    fractions = breakdown(plan, run_des(plan.program))
    assert max(fractions, key=lambda name: fractions[name]) == "weight_wait"
    # All weights but the output layer's second use go out twice, at 0.1 GB/s.
    assert fractions["weight_wait"] > 0.7


def test_breakdown_sums_to_one_and_rates_are_consistent() -> None:
    for density in (1.0, 0.25):
        preset = load_model("2.7b")
        run = Run(
            shape=preset.shape, system="cs2", num_csx=4, batch_size=528, seq_len=2048, tokens=5.3e10, density=density
        )
        r = simulate(run).result
        assert sum(r.breakdown.values()) == pytest.approx(1.0, abs=1e-12)
        assert min(r.breakdown.values()) >= 0
        assert r.tokens_per_s * r.step_time_s == pytest.approx(528 * 2048)
        assert r.tokens_per_s_low < r.tokens_per_s < r.tokens_per_s_high
        assert r.run_time_s == pytest.approx(r.tokens / r.tokens_per_s)
        assert r.energy_j == pytest.approx(r.run_time_s * 4 * 23_000)
        assert 1.0 <= r.speedup_vs_dense <= r.ideal_speedup
        assert r.mfu <= r.dense_equivalent_mfu < 1


def test_working_set_that_does_not_fit_names_the_wall_and_what_fits() -> None:
    run = msgspec.structs.replace(
        Run(shape=load_model("13b").shape, system="cs2", num_csx=1, batch_size=512, seq_len=2048, tokens=1e9),
        microbatch=256,
    )
    with pytest.raises(SpecError, match=r"needs .* GB of on-wafer.*at most 99 sequences fit"):
        simulate(run)


def test_model_too_large_for_memoryx_names_the_wall() -> None:
    run, cluster = small_run(), load_cluster("cs2", 4).with_constant("memoryx.capacity_bytes", 1e6)
    with pytest.raises(SpecError, match=r"MemoryX holds 0\.001 GB"):
        plan_step(run, cluster)


def test_indivisible_batch_names_the_next_that_work() -> None:
    with pytest.raises(SpecError, match="the next that work are 100 and 104"):
        small_run(batch_size=101)
    with pytest.raises(SpecError, match="these do: 1, 2, 4, 8, 16"):
        small_run(microbatch=3)
