"""From a user's run to finish times: whatever the configuration, nothing crashes, and the laws of a step hold."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from tests.campaigns import RecordFigures
from tests.engine.clusters import FASTER, SLOWER, Configuration, configurations, random_configuration
from tests.engine.comparing import compared
from tests.engine.conditions import Streams, servers
from tests.schedule.uncongested import uncongested_s
from wse_sim.engine.des import run_des
from wse_sim.engine.max_plus import max_plus_step_ends_ps
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.errors import SpecError
from wse_sim.report.breakdown import breakdown, cross_iteration_s
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import StepPlan
from wse_sim.simulation import simulate
from wse_sim.spec.cluster import Cluster
from wse_sim.units import PS_PER_S, to_s
from wse_sim.workload.transformer import nonzero_parameters

_ROUNDING = 1e-9  # of sums of floating-point numbers


@settings(max_examples=30)
@given(configurations())
def test_laws_hold_for_any_configuration(configuration: Configuration) -> None:
    try:
        plan = configuration.plan()
    except SpecError:  # its memory is too small
        return
    assert_laws(configuration, plan)
    assert all(n_differing == 0 for _, n_differing in compared(plan.program).values())


@settings(max_examples=10)
@given(configurations())
def test_a_whole_simulation_of_any_run_has_sound_figures(configuration: Configuration) -> None:
    try:
        found = simulate(configuration.run, masks=configuration.masks).result
    except SpecError:
        return
    assert found.step_time_s > 0
    assert found.tokens_per_s == pytest.approx(configuration.run.tokens_per_step / found.step_time_s)
    assert 0 < found.mfu <= found.dense_equivalent_mfu * (1 + _ROUNDING)
    assert found.mfu <= 1
    assert sum(found.breakdown.values()) == pytest.approx(1)
    assert 0 <= found.goodput <= 1
    assert found.wall_clock_s >= found.run_time_s
    assert min(found.energy_j, found.cost_usd) > 0


# ---- what holds of every step ----------------------------------------------------------------------------------------


def assert_laws(configuration: Configuration, plan: StepPlan) -> None:
    cluster, finish = configuration.cluster(), run_des(plan.program)
    assert_bytes_are_conserved(configuration, cluster, plan)
    assert_nothing_starts_too_early_or_late(plan.program, finish)
    assert_not_faster_than_any_bound(plan, finish)
    assert_fractions_are_fractions(plan, finish)
    if not configuration.is_half_duplex:
        assert_worse_constants_make_nothing_faster(configuration, cluster, plan)


def assert_bytes_are_conserved(configuration: Configuration, cluster: Cluster, plan: StepPlan) -> None:
    """Tiles carry the bytes of their pass, to the tick; what is stored is fetched; all live weights are updated."""
    p, run, passes, swarmx = plan.program, configuration.run, plan.passes, cluster.swarmx
    to_leaf = min(swarmx.link_bytes_per_s, cluster.csx.io_bytes_per_s)
    for of_class, link in enumerate((swarmx.link_bytes_per_s, swarmx.link_bytes_per_s, to_leaf)):
        egress, ingress = cluster.memoryx.egress_bytes_per_s, cluster.memoryx.ingress_bytes_per_s
        of_root = [rate / p.n_lanes if of_class == 0 else math.inf for rate in (egress, ingress)]
        assert_carried(p.down_ps[of_class] * p.n_tiles, p.n_tiles, [q.weight_bytes for q in passes], of_root[0], link)
        assert_carried(p.up_ps[of_class] * p.n_tiles, p.n_tiles, [q.gradient_bytes for q in passes], of_root[1], link)
    assert sum(q.stored_bytes for q in passes) == sum(q.fetched_bytes for q in passes)
    assert sum(q.stored_bytes for q in passes) == pytest.approx(plan.placement.offloaded_bytes)
    if configuration.masks is None:
        updated = sum(q.updated_weights for q in passes)
        assert updated == pytest.approx(nonzero_parameters(run.shape, run.density), rel=_ROUNDING)


def assert_carried(times_ps: IntArray, n_tiles: int, n_bytes: list[float], *rates: float) -> None:
    rate, amounts = min(rates), np.array(n_bytes)
    carried = times_ps / PS_PER_S * rate
    assert (carried >= amounts * (1 - _ROUNDING)).all()
    assert (carried <= amounts * (1 + _ROUNDING) + n_tiles * rate / PS_PER_S).all()


def assert_nothing_starts_too_early_or_late(program: Program, finish: Finish) -> None:
    for server in servers(program, finish):
        ready = np.max(list(server.waits_for.values()), axis=0)
        assert (server.starts >= ready).all(), server.name
        if not program.is_half_duplex:
            assert (server.starts == ready).all(), server.name


def assert_not_faster_than_any_bound(plan: StepPlan, finish: Finish) -> None:
    """No server is busy for longer than the run takes, and no step beats the uncongested sum of its passes."""
    p, streams = plan.program, Streams(plan.program)
    for busy_ps, end_ps in busy_times_ps(p, streams, finish):
        assert busy_ps <= end_ps
    end_s = to_s(float(step_ends_ps(p, finish)[-1]))
    assert end_s >= p.n_steps * p.n_microbatches * uncongested_s(plan.passes) * (1 - _ROUNDING)


def busy_times_ps(p: Program, streams: Streams, finish: Finish) -> Iterator[tuple[int, int]]:
    """Of every server the sum of its services, and the instant at which the last of them is done."""

    def of_server(services_ps: IntArray, finish_ps: IntArray, n_lanes: int = 1) -> Iterator[tuple[int, int]]:
        for lane in range(n_lanes):
            yield int(services_ps[lane::n_lanes].sum()), int(finish_ps[lane::n_lanes].max(initial=0))

    for edge in range(p.n_edges):
        n_lanes, of_class = p.n_lanes if edge == 0 else 1, p.edge_class[edge]
        yield from of_server(streams.service(p.has_weights, p.down_ps[of_class]), finish.down[edge], n_lanes)
        yield from of_server(streams.service(p.has_gradient, p.up_ps[of_class]), finish.up[edge], n_lanes)
    for node in range(p.n_nodes):
        yield from of_server(streams.service(p.has_gradient, p.reduce_ps), finish.reduce[node])
    for leaf in range(p.n_leaves):
        yield from of_server(streams.compute_ps(leaf), finish.compute[leaf])
        yield from of_server(streams.service(p.drain_ps, p.drain_ps), finish.drain[leaf])
        for feed in range(p.n_feeds):
            yield from of_server(streams.service(p.feed_ps[feed], p.feed_ps[feed]), finish.feed[feed][leaf])
    yield from of_server(streams.sink_ps(), finish.update, p.n_lanes)


def assert_fractions_are_fractions(plan: StepPlan, finish: Finish) -> None:
    fractions = breakdown(plan, finish)
    assert sum(fractions.values()) == pytest.approx(1)
    assert min(fractions.values()) >= 0
    assert cross_iteration_s(plan.program, finish) >= 0


def assert_worse_constants_make_nothing_faster(configuration: Configuration, cluster: Cluster, plan: StepPlan) -> None:
    """Less of a bandwidth, or more of a latency: with the micro-batch kept, no step ends earlier."""
    run = replace(configuration.run, microbatch=plan.microbatch)
    name = (*FASTER, *SLOWER)[run.seed % len((*FASTER, *SLOWER))]
    part, field = name.split(".")
    value = getattr(getattr(cluster, part), field)
    worse = cluster.with_constant(name, value / 3 if name in FASTER else value * 3)
    program = Configuration(**{**fields_of(configuration), "run": run}).plan(worse).program
    assert (max_plus_step_ends_ps(program) >= max_plus_step_ends_ps(plan.program)).all(), name


def fields_of(configuration: Configuration) -> dict[str, object]:
    return {name: getattr(configuration, name) for name in Configuration.__dataclass_fields__}


# ---- the same for so many that only a campaign has the time ----------------------------------------------------------

FEATURES: dict[str, Callable[[Configuration, StepPlan], object]] = {
    **{name: lambda c, plan, name=name: c.run.system == name for name in ("cs1", "cs2", "cs3")},
    "9 systems or more": lambda c, plan: c.run.num_csx >= 9,
    "SwarmX nodes under nodes": lambda c, plan: plan.program.n_nodes > 1,
    "sparse weights": lambda c, plan: c.run.density < 1,
    "masks of a trained run": lambda c, plan: c.masks is not None,
    "masks that change in this step": lambda c, plan: c.is_mask_update,
    "several micro-batches": lambda c, plan: plan.program.n_microbatches > 1,
    "a micro-batch that was chosen": lambda c, plan: c.run.microbatch is None,
    "activations off the wafer": lambda c, plan: plan.placement.offloaded_bytes > 0,
    "jitter": lambda c, plan: c.run.jitter > 0,
    "a straggler": lambda c, plan: c.run.straggler > 1,
    "half-duplex wires": lambda c, plan: c.is_half_duplex,
    "other constants": lambda c, plan: len(c.constants) > 2,
}


def campaign(seeds: Iterable[int]) -> dict[str, str | int]:
    """Plan, run and check the configurations of these seeds; the figures of that.

    Raises
    ------
    AssertionError, or whatever was raised
        With the seed of the configuration of which a law does not hold.
    """
    n_of, features = Counter[str](), Counter(dict.fromkeys(FEATURES, 0))
    for seed in seeds:
        try:
            configuration = random_configuration(seed)
            plan = configuration.plan()
        except SpecError:
            n_of["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"random_configuration({seed}) cannot be planned") from error
        try:
            assert_laws(configuration, plan)
        except Exception as error:
            raise AssertionError(f"random_configuration({seed}): {error}") from error
        of_engine = compared(plan.program)
        assert all(n_differing == 0 for _, n_differing in of_engine.values()), (
            f"random_configuration({seed}): {of_engine}"
        )
        features.update(name for name, has in FEATURES.items() if has(configuration, plan))
        n_of.update(run=1, tasks=plan.program.n_tasks, compared=sum(n for n, _ in of_engine.values()))
        n_of["differ"] += sum(n_differing for _, n_differing in of_engine.values())
    return {
        "random configurations run": n_of["run"],
        "refused with one sentence": n_of["refused"],
        "their tasks": n_of["tasks"],
        "values of des and max-plus compared with SimPy": n_of["compared"],
        "values that differ": n_of["differ"],
        "configurations with": ", ".join(f"{name} {n:,}" for name, n in features.items()),
    }


@pytest.mark.campaign
def test_engines_agree_and_laws_hold_for_random_configurations(record_figures: RecordFigures) -> None:
    figures = campaign(range(5_000))
    assert int(figures["random configurations run"]) >= 2_000
    record_figures("engine", figures)


def test_a_campaign_has_configurations_with_every_feature_and_few_refusals() -> None:
    planned, n_refused = [], 0
    for seed in range(120):
        try:
            configuration = random_configuration(seed)
            planned.append((configuration, configuration.plan()))
        except SpecError:
            n_refused += 1
    assert 0 < n_refused < 12
    for name, has in FEATURES.items():
        assert any(has(*each) for each in planned), name


def test_a_campaign_names_the_configuration_of_which_a_law_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.breakdown", lambda plan, finish: {"linear": 0.9})
    with pytest.raises(AssertionError, match=r"random_configuration\(0\): "):
        campaign([0])
