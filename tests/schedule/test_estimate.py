"""The closed form against the engines, and its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.schedule.uncongested import uncongested_s
from wse_sim.runs import resolve_run
from wse_sim.schedule.cost import StepCosts
from wse_sim.schedule.estimate import NOTHING_CONTENDS, STREAMS, IntArray, estimate_steps, knows, microbatch_costs
from wse_sim.schedule.placement import largest_microbatch, place
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import SYSTEMS, Cluster, Csx, load_cluster
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run

OTHERS = {
    "csx.io_bytes_per_s": [1e10, 75e9, 300e9],
    "memoryx.egress_bytes_per_s": [1e10, 1e12],
    "memoryx.ingress_bytes_per_s": [1e10, 1e12],
    "memoryx.optimizer_bytes_per_s": [1e11, 1e12],
    "memoryx.servers": [1, 5, 36],
    "swarmx.link_bytes_per_s": [1e10, 1e12],
    "swarmx.reduce_bytes_per_s": [1e10, 1e12],
    "csx.activation_link_bytes_per_s": [1e9, 1e12],
    "csx.input_tokens_per_s": [1e3, 1e6],
    "csx.layer_latency_s": [0.0, 1e-3],
    "csx.clock_hz": [1e8, 3e9],
    "csx.nonzero_bytes": [2.0, 8.0],
    "csx.weight_buffer_layers": [1.0, 4.0],
    "swarmx.buffer_layers": [1.5, 8.0],
    "swarmx.hop_latency_s": [0.0, 1e-5],
    "swarmx.fan_out": [2, 16],
}
MODELS = ("111m", "590m", "1.3b", "2.7b", "6.7b", "13b", "bert-large", "llama-2-7b", "gpt-neox-20b")


def run_of(model: str, system: str, density: float, num_csx: int, batch_size: int) -> Run:
    return resolve_run(load_model(model), system=system, density=density, num_csx=num_csx, batch_size=batch_size)


def fitting(run: Run, csx: Csx) -> IntArray:
    most = largest_microbatch(run.shape, csx, seq_len=run.seq_len)
    return np.array([m for m in run.microbatches if m <= most][-3:], np.int64)


def check_errors(run: Run, cluster: Cluster, microbatch: IntArray, *, tolerance: float, congested: float) -> None:
    estimate = estimate_steps(microbatch_costs(run, cluster.csx, microbatch), cluster, run.batch_per_csx // microbatch)
    for i, size in enumerate(microbatch.tolist()):
        simulated_s = step_time_s(replace(run, microbatch=size), cluster)
        allowed = tolerance if estimate.contention[i] < NOTHING_CONTENDS else congested
        assert estimate.step_s[i] == pytest.approx(simulated_s, rel=allowed)


@settings(max_examples=150)
@given(
    st.sampled_from(MODELS),
    st.sampled_from(["cs1", "cs2", "cs3"]),
    st.sampled_from([1.0, 0.5, 0.3, 0.25, 0.1, 0.03]),
    st.sampled_from([(1, 1), (3, 21), (1, 128), (1, 1024), (4, 512), (16, 1024), (5, 720)]),
)
def test_within_a_percent_of_the_event_engine_wherever_nothing_contends(
    model: str, system: str, density: float, size: tuple[int, int]
) -> None:
    """In fact within 0.7 %; where streams contend within 6 %."""
    run, cluster = run_of(model, system, density, *size), load_cluster(system, size[0])
    check_errors(run, cluster, fitting(run, cluster.csx), tolerance=0.01, congested=0.06)


@given(
    st.sampled_from(MODELS),
    st.sampled_from(["cs1", "cs2", "cs3"]),
    st.sampled_from([1.0, 0.25, 0.03]),
    st.sampled_from([(2, 14), (1, 128), (4, 512)]),
    st.sampled_from(sorted(OTHERS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(OTHERS[name]))),
)
def test_what_contends_is_known_whatever_the_constants(
    model: str, system: str, density: float, size: tuple[int, int], other: tuple[str, float]
) -> None:
    """Within 2.1 %, over all that may be drawn here."""
    run, cluster = run_of(model, system, density, *size), load_cluster(system, size[0], dict([other]))
    check_errors(run, cluster, fitting(run, cluster.csx)[-1:], tolerance=0.025, congested=0.6)


@pytest.mark.parametrize(
    "beyond", [("swarmx.hop_latency_s", 1e-3), ("swarmx.buffer_layers", 0.25), ("csx.weight_buffer_layers", 0.05)]
)
def test_a_cluster_is_not_known_where_its_hops_or_its_buffers_hold_tiles_up(beyond: tuple[str, float]) -> None:
    """Nothing contends, and yet the closed form is 7 % short and more."""
    run, cluster = run_of("2.7b", "cs3", 1.0, 1, 128), load_cluster("cs3", 1, dict([beyond]))
    estimate = estimate_steps(microbatch_costs(run, cluster.csx, np.array([16])), cluster, np.array([8]))
    assert not knows(cluster)
    assert estimate.contention[0] < NOTHING_CONTENDS
    assert estimate.step_s[0] < 0.95 * step_time_s(replace(run, microbatch=16), cluster)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_of_the_data_is_known(system: str) -> None:
    assert knows(load_cluster(system, 1))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("density", [1.0, 0.25])
def test_a_micro_batch_is_the_uncongested_sum_of_its_passes(model: str, density: float) -> None:
    run, csx = run_of(model, "cs2", density, 1, 96), load_cluster("cs2", 1).csx
    microbatch = fitting(run, csx)
    costs = microbatch_costs(run, csx, microbatch)
    for i, size in enumerate(microbatch.tolist()):
        placement = place(run.shape, csx, seq_len=run.seq_len, microbatch=size)
        passes = StepCosts(run, csx, placement, size).passes()
        blocks_s = run.shape.n_layers * (costs.forward_block_s + costs.backward_block_s)
        assert (blocks_s + costs.forward_ends_s + costs.backward_ends_s)[i] == pytest.approx(uncongested_s(passes))
        assert sum(p.stored_bytes for p in passes) == pytest.approx(costs.stored_bytes[i] * costs.n_stored[i])
        down = costs.ends_weight_bytes + 2 * run.shape.n_layers * costs.block_weight_bytes
        assert sum(p.weight_bytes for p in passes) == pytest.approx(down)
        assert sum(p.gradient_bytes for p in passes) == pytest.approx(costs.gradient_bytes)
        assert sum(p.updated_weights for p in passes) == pytest.approx(costs.updated_weights)


@pytest.mark.parametrize("constant", ["csx.io_bytes_per_s", "swarmx.link_bytes_per_s", "memoryx.egress_bytes_per_s"])
@pytest.mark.parametrize("factor", [1.5, 10.0])
def test_more_bandwidth_never_hurts(constant: str, factor: float) -> None:
    run, cluster = run_of("2.7b", "cs3", 0.1, 4, 512), load_cluster("cs3", 4)
    microbatch = fitting(run, cluster.csx)
    costs = microbatch_costs(run, cluster.csx, microbatch)
    part, name = constant.split(".")
    faster = cluster.with_constant(constant, factor * getattr(getattr(cluster, part), name))
    before, after = (estimate_steps(costs, c, run.batch_per_csx // microbatch) for c in (cluster, faster))
    assert (after.step_s <= before.step_s).all()


def test_the_busiest_stream_is_named() -> None:
    run, cluster = run_of("2.7b", "cs3", 0.25, 1, 64), load_cluster("cs3", 1)
    microbatch = np.array([1])
    costs = microbatch_costs(run, cluster.csx, microbatch)
    slow = {
        "weights": cluster.with_constant("swarmx.link_bytes_per_s", 1e9),
        "gradients": cluster.with_constant("swarmx.reduce_bytes_per_s", 1e9),
        "input": cluster.with_constant("csx.input_tokens_per_s", 10.0),
        "optimizer": cluster.with_constant("memoryx.optimizer_bytes_per_s", 1e9),
    }
    for name, changed in slow.items():
        assert STREAMS[estimate_steps(costs, changed, np.array([64])).bound[0]] == name
    large = microbatch_costs(run, cluster.csx, np.array([64]))
    assert STREAMS[estimate_steps(large, cluster, np.array([1])).bound[0]] == "wafer"
    stored = microbatch_costs(run, cluster.csx, np.array([200]))
    slow_link = cluster.with_constant("csx.activation_link_bytes_per_s", 1e9)
    assert STREAMS[estimate_steps(stored, slow_link, np.array([1])).bound[0]] == "activations"
