"""A step as a program: what a symmetric tree, more tiles, more systems and sparse weights may and may not change."""

from collections import Counter
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule.uncongested import uncongested_s
from wse_sim.engine.max_plus import max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.run import steady_step_ps
from wse_sim.errors import SpecError
from wse_sim.report.breakdown import breakdown
from wse_sim.schedule.imperfections import drawn_jitter_ps
from wse_sim.schedule.phases import phases
from wse_sim.schedule.placement import largest_microbatch, place
from wse_sim.schedule.program import Program
from wse_sim.schedule.tree import TILES_PER_LAYER, swarmx_tree
from wse_sim.schedule.weight_streaming import plan_step, with_steps
from wse_sim.simulation import simulate, step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import convert, data_path, load_model, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.spec.run import MaskUpdates, Run
from wse_sim.units import to_s

WIRES = (
    "memoryx.egress_bytes_per_s",
    "memoryx.ingress_bytes_per_s",
    "swarmx.link_bytes_per_s",
    "swarmx.reduce_bytes_per_s",
    "csx.io_bytes_per_s",
    "csx.activation_link_bytes_per_s",
)


def steady_s(program: Program) -> float:
    return to_s(steady_step_ps(max_plus_step_ends_ps(program)))


def small_run(**changes: object) -> Run:
    shape = ModelShape(name="small", n_layers=3, d_model=256, n_heads=4, d_ff=1024, vocab_size=1000, seq_len=128)
    given: dict[str, object] = {"system": "cs2", "num_csx": 4, "batch_size": 64, "seq_len": 128, "tokens": 1e6}
    return Run(shape=shape, **{**given, **changes})  # type: ignore[arg-type]


@given(st.integers(1, 300), st.integers(2, 16))
def test_tree_is_a_tree_within_its_fan_out(n_leaves: int, fan_out: int) -> None:
    tree = swarmx_tree(n_leaves, fan_out)
    children = np.bincount(np.concatenate([tree.node_parent[1:], tree.leaf_parent]), minlength=len(tree.node_parent))
    assert children.max() <= fan_out
    assert children.min() >= 1
    assert (tree.node_parent[1:] < np.arange(1, len(tree.node_parent))).all()


@pytest.mark.parametrize(("model", "density"), [("590m", 1.0), ("2.7b", 0.25), ("13b", 0.1)])
def test_finer_tiles_move_the_step_time_by_less_than_one_percent(model: str, density: float) -> None:
    preset = load_model(model)
    run = Run(shape=preset.shape, system="cs2", num_csx=4, batch_size=480, seq_len=2048, tokens=1e9, density=density)
    cluster = load_cluster("cs2", 4)
    coarse, fine = (steady_s(plan_step(run, cluster, n_tiles=n).program) for n in (TILES_PER_LAYER, 96))
    assert coarse == pytest.approx(fine, rel=0.01)


@pytest.mark.parametrize(("model", "num_csx", "density"), [("590m", 1, 1.0), ("6.7b", 4, 1.0), ("2.7b", 16, 0.5)])
def test_a_step_without_congestion_is_the_closed_form(model: str, num_csx: int, density: float) -> None:
    """With every stream a thousand times as fast, the engine comes down to the sum over the passes."""
    preset = load_model(model)
    run = Run(shape=preset.shape, num_csx=num_csx, batch_size=96 * num_csx, seq_len=2048, tokens=1e9, density=density)
    cluster = load_cluster("cs2", num_csx)
    for name in (*WIRES, "swarmx.hop_latency_s", "memoryx.optimizer_bytes_per_s", "csx.input_tokens_per_s"):
        part, field = name.split(".")
        value = getattr(getattr(cluster, part), field)
        cluster = cluster.with_constant(name, value / 1000 if name.endswith("latency_s") else value * 1000)
    plan = plan_step(run, cluster)
    assert steady_s(plan.program) == pytest.approx(plan.program.n_microbatches * uncongested_s(plan.passes), rel=1e-4)
    assert breakdown(plan, run_max_plus(plan.program))["weight_wait"] < 1e-4


def test_latency_is_filled_by_weight_gradients_where_they_are_long_enough() -> None:
    """At large batch the latency between blocks vanishes; at small batch it adds to the rest."""
    shape, cluster = load_model("bert-large").shape, load_cluster("cs2", 1)
    passes = {
        batch: plan_step(Run(shape=shape, num_csx=1, batch_size=batch, seq_len=128, tokens=1e9), cluster).passes
        for batch in (128, 4096)
    }
    works = {batch: sum(p.work_s for p in of) for batch, of in passes.items()}
    latency = shape.n_layers * cluster.csx.layer_latency_s
    # Only the last block's has next to nothing to hide behind: the output layer's gradient.
    assert works[4096] < uncongested_s(passes[4096]) < works[4096] + cluster.csx.layer_latency_s
    gradients = sum(p.work_s for p in passes[128] if p.name.endswith("gradient"))
    assert works[128] + latency - gradients <= uncongested_s(passes[128]) < works[128] + latency


def test_density_one_equals_dense_bit_for_bit() -> None:
    dense = simulate(small_run())
    sparse = simulate(small_run(density=1.0, seed=7))
    assert dense.finish.same_times_as(sparse.finish)
    assert dense.result.speedup_vs_dense == 1.0
    assert dense.result.mfu == dense.result.dense_equivalent_mfu


def test_steps_repeat_once_the_pipe_is_full() -> None:
    run, cluster = small_run(density=0.5), load_cluster("cs2", 4)
    program = replace(plan_step(run, cluster).program, n_steps=8)
    assert len(set(np.diff(max_plus_step_ends_ps(program))[1:].tolist())) == 1


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
        *WIRES,
        "memoryx.optimizer_bytes_per_s",
        "csx.linear_efficiency",
        "csx.input_tokens_per_s",
    ):
        part, field = name.split(".")
        assert step_time_s(run, cluster.with_constant(name, 2 * getattr(getattr(cluster, part), field))) <= base


@settings(max_examples=60)
@given(
    st.sampled_from(["111m", "590m", "1.3b"]),
    st.sampled_from(["cs2", "cs3"]),
    st.sampled_from([1.0, 0.25, 0.05]),
    st.sampled_from([1, 4, 16]),
)
def test_more_systems_never_raise_the_time_of_a_static_order_run(
    model: str, system: str, density: float, microbatch: int
) -> None:
    """One batch on 1 to 16 systems, a micro-batch that stays, order fixed by the program: the max-plus engine."""
    times = []
    for num_csx in (1, 2, 4, 8, 16):
        run = Run(
            shape=load_model(model).shape,
            system=system,
            num_csx=num_csx,
            batch_size=16 * microbatch,
            microbatch=microbatch,
            seq_len=1024,
            tokens=1e9,
            density=density,
        )
        times.append(step_time_s(run, load_cluster(system, num_csx)))
    assert times == sorted(times, reverse=True)


def test_starved_weight_stream_becomes_the_bottleneck() -> None:
    run, cluster = small_run(), load_cluster("cs2", 4)
    plan = plan_step(run, cluster.with_constant("memoryx.egress_bytes_per_s", 1e8))
    fractions = breakdown(plan, run_max_plus(plan.program))
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


def starved(name: str, value: float) -> str:
    """What bounds a small dense run when one constant is far too low."""
    run, cluster = small_run(microbatch=16), load_cluster("cs2", 4).with_constant(name, value)
    plan = plan_step(run, cluster)
    fractions = breakdown(plan, run_max_plus(plan.program))
    return max(fractions, key=lambda name: fractions[name])


@pytest.mark.parametrize(
    ("name", "value", "wait"),
    [
        ("csx.input_tokens_per_s", 1e3, "input_wait"),
        ("memoryx.ingress_bytes_per_s", 1e7, "cross_iteration"),
        ("memoryx.optimizer_bytes_per_s", 1e8, "cross_iteration"),
        ("swarmx.link_bytes_per_s", 1e7, "weight_wait"),
        ("csx.layer_latency_s", 1.0, "latency"),
    ],
)
def test_whatever_is_starved_is_named(name: str, value: float, wait: str) -> None:
    assert starved(name, value) == wait


def test_activations_beyond_sram_wait_for_their_servers_when_the_link_is_slow() -> None:
    run = Run(shape=load_model("13b").shape, num_csx=1, batch_size=64, microbatch=64, seq_len=2048, tokens=1e9)
    cluster = load_cluster("cs2", 1)
    plan = plan_step(run, cluster)
    assert plan.placement.resident_layers < 40
    stored = sum(p.stored_bytes for p in plan.passes)
    assert stored == pytest.approx(plan.placement.offloaded_bytes)
    assert stored == sum(p.fetched_bytes for p in plan.passes)
    slow = plan_step(run, cluster.with_constant("csx.activation_link_bytes_per_s", 2e9))
    assert breakdown(slow, run_max_plus(slow.program))["activation_wait"] > 0.5


def test_activations_beyond_their_servers_name_the_wall_and_what_fits() -> None:
    """A cliff: 400 blocks of 1.9 GB each, beside 196 GB of servers and what SRAM has left."""
    shape = msgspec.structs.replace(load_model("13b").shape, n_layers=400, name="deep")
    run = Run(shape=shape, num_csx=1, batch_size=90, microbatch=90, seq_len=2048, tokens=1e9)
    with pytest.raises(SpecError, match=r"GB on its activation servers, cs2 has 196 GB: at most 26 sequences fit"):
        plan_step(run, load_cluster("cs2", 1))
    csx = load_cluster("cs2", 1).csx
    largest = largest_microbatch(shape, csx, seq_len=2048)
    place(shape, csx, seq_len=2048, microbatch=largest)
    with pytest.raises(SpecError):
        place(shape, csx, seq_len=2048, microbatch=largest + 1)


@pytest.mark.parametrize("slowdown", [1e2, 1e6, 1e10, 1e14, 1e18, 1e30])
@pytest.mark.parametrize("name", [*WIRES, "csx.input_tokens_per_s", "csx.clock_hz"])
def test_constants_that_are_far_off_make_steps_as_long_as_they_say_or_one_error(name: str, slowdown: float) -> None:
    """A time that the clock does not hold would come round as a short one, or a negative one."""
    run, cluster = small_run(microbatch=16), load_cluster("cs2", 4)
    slow = cluster.with_constant(name, cluster.constants[name].value / slowdown)
    fast_s = steady_s(plan_step(run, cluster).program)
    try:
        program = plan_step(run, slow).program
    except SpecError as error:
        assert "s is more than 2^63 ps, where the simulated clock ends: a constant" in str(error)  # noqa: PT017
        assert slowdown > 1e2
        return
    busiest_ps = max(float(times.sum(axis=-1).max()) for times in (program.down_ps, program.up_ps, program.compute_ps))
    n_each = program.n_microbatches * program.n_tiles // program.n_lanes  # at the least: not all wires have lanes
    assert steady_s(program) >= max(fast_s, 0.999 * to_s(busiest_ps * n_each))


@pytest.mark.parametrize("changes", [{"straggler": 1e12}, {"straggler": 1e30}, {"jitter": 1e12}, {"jitter": 1e30}])
def test_stragglers_and_jitter_that_the_clock_does_not_hold_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=r"the simulated clock ends: a constant .* the straggler or the jitter"):
        plan_step(small_run(**changes), load_cluster("cs2", 4))


def test_micro_batches_that_the_clock_does_not_hold_are_refused_with_those_that_it_does() -> None:
    def plan(n_microbatches: int) -> object:
        run = small_run(batch_size=4 * n_microbatches, microbatch=1, straggler=1e9, tokens=1e9)
        return plan_step(run, load_cluster("cs2", 4))

    with pytest.raises(SpecError, match=r"clock ends: at most [\d,]+ micro-batches \(a larger --microbatch") as refused:
        plan(100_000)
    n_fitting = int(str(refused.value).partition("at most ")[2].split()[0].replace(",", ""))
    plan(n_fitting)
    with pytest.raises(SpecError, match=f"at most {n_fitting:,} micro-batches"):
        plan(n_fitting + 1)


def test_steps_that_the_clock_does_not_hold_are_refused_with_those_that_it_does() -> None:
    run = small_run(straggler=1e8)
    program = plan_step(run, load_cluster("cs2", 4)).program
    with pytest.raises(SpecError, match=r"1,000,000 steps: .* ends: at most [\d,]+ steps would be right") as refused:
        with_steps(program, run, 10**6)
    n_fitting = int(str(refused.value).rpartition("at most ")[2].split()[0].replace(",", ""))
    assert with_steps(program, run, n_fitting).n_steps == n_fitting > 3
    with pytest.raises(SpecError, match=f"at most {n_fitting:,} steps"):
        with_steps(program, run, n_fitting + 1)


def test_a_straggler_slows_all_and_jitter_costs_something() -> None:
    shape, cluster = load_model("590m").shape, load_cluster("cs2", 4)

    def time_s(**changes: float) -> float:
        run = Run(shape=shape, num_csx=4, batch_size=512, seq_len=2048, tokens=1e9, **changes)  # type: ignore[arg-type]
        return steady_s(plan_step(run, cluster).program)

    plain, slow, jittered = time_s(), time_s(straggler=1.5), time_s(jitter=0.2)
    assert 1.45 * plain < slow < 1.5 * plain
    # Systems that wait for the slowest lose more than the mean draw, a tenth, and less than the largest, a fifth.
    assert 1.1 * plain < jittered < 1.2 * plain
    assert time_s(jitter=0.2, seed=1) != jittered


def test_jitter_does_not_depend_on_how_many_steps_are_drawn() -> None:
    pass_ps = np.full((3, 5), 10**9)
    short, long = (drawn_jitter_ps(pass_ps, 0.1, n, seed=3) for n in (4, 40))
    assert (long[:, : short.shape[1]] == short).all()
    assert long.min() >= 0
    assert long.max() < 10**8
    assert long.mean() == pytest.approx(0.5e8, rel=0.1)
    assert drawn_jitter_ps(pass_ps, 0.0, 4, seed=3).shape == (3, 0)


def test_masks_that_change_cost_what_their_steps_cost() -> None:
    """Pruning passes through all densities; RigL needs every gradient in its steps, SET only a choice at MemoryX."""
    base = {"num_csx": 1, "batch_size": 16, "tokens": 16 * 128 * 4000, "density": 0.2, "microbatch": 16}
    shape = msgspec.structs.replace(small_run().shape, d_model=1024, d_ff=4096, n_heads=8)
    runs = {
        algorithm: msgspec.structs.replace(small_run(**base), shape=shape, mask_updates=updates)
        for algorithm, updates in {
            "static": None,
            **{name: MaskUpdates(algorithm=name, every_steps=100) for name in ("set", "rigl", "gmp")},
        }.items()
    }
    times = {name: simulate(run).result.step_time_s for name, run in runs.items()}
    dense_s = simulate(msgspec.structs.replace(runs["static"], density=1.0)).result.step_time_s
    assert times["static"] < times["set"] < times["rigl"] < times["gmp"] < dense_s
    assert times["rigl"] < 1.02 * times["static"]  # one step in a hundred


def test_phases_cover_the_run_and_pruning_ends_at_its_density() -> None:
    run = small_run(tokens=64 * 128 * 1000.5, density=0.1, mask_updates=MaskUpdates(algorithm="gmp", every_steps=10))
    found = phases(run)
    assert sum(phase.n_steps for phase in found) == pytest.approx(1000.5)
    assert sum(phase.n_steps for phase in found if phase.is_mask_update) == 75
    densities = [phase.density for phase in found]
    assert densities == sorted(densities, reverse=True)
    assert densities[0] == 1.0
    assert densities[-1] == 0.1


@settings(max_examples=200)
@given(
    st.sampled_from(["set", "gmp"]), st.floats(0.01, 1.0), st.integers(1, 40), st.floats(0.01, 1.0), st.floats(1, 3000)
)
def test_phases_are_those_of_masks_changed_one_by_one(
    algorithm: str, density: float, every_steps: int, until: float, n_steps: float
) -> None:
    updates = MaskUpdates(algorithm=algorithm, every_steps=every_steps, until=until)  # type: ignore[arg-type]
    run = small_run(tokens=64 * 128 * n_steps, density=density, mask_updates=updates)
    n_updates = int(run.n_steps * until // every_steps)
    expected: Counter[tuple[float, bool]] = Counter()
    for k in range(n_updates):
        pruned = 1.0 - (1.0 - density) * (1.0 - (1.0 - k / n_updates) ** 3)
        at = density if algorithm == "set" else max(density, round(pruned, 2))
        expected[at, False] += every_steps - 1
        expected[at, True] += 1
    expected[density, False] += run.n_steps - n_updates * every_steps  # type: ignore[assignment]
    found = {(phase.density, phase.is_mask_update): phase.n_steps for phase in phases(run)}
    assert found == {key: n for key, n in expected.items() if n > 0}


def test_phases_of_a_billion_mask_changes_are_few() -> None:
    run = small_run(tokens=64 * 128 * 4e9, density=0.1, mask_updates=MaskUpdates(algorithm="gmp", every_steps=3))
    found = phases(run)
    assert len(found) == 182
    assert sum(phase.n_steps for phase in found if phase.is_mask_update) == 1e9
