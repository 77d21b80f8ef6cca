"""Whole runs: the renewal formula, replications against a run event by event on the same draws, segments."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.played_run import play_run
from tests.engine.runs import NO_STRAGGLERS, hour_plan, segmented, with_terms, young_interval_s
from wse_sim.engine.run_level import (
    PARTS,
    RunPlan,
    StragglerDelays,
    daly_interval_s,
    expected_failures,
    expected_parts_s,
    expected_run_s,
    plan_run,
    simulate_runs,
)
from wse_sim.engine.run_level.terms import attempts_s, first_attempt_s
from wse_sim.errors import SpecError
from wse_sim.randomness import splitmix64
from wse_sim.spec.operations import Operations, load_operations

Z_99 = 2.576  # a fixed seed passes or fails for good; a right formula fails for one seed in a hundred


@st.composite
def plans(draw: st.DrawFn) -> RunPlan:
    times = st.floats(0.01, 100.0)
    n_segments = draw(st.integers(1, 8))
    segments = st.lists(times, min_size=n_segments, max_size=n_segments)
    return segmented(
        compile_s=draw(st.sampled_from([0.0, 30.0])),
        bring_up_s=draw(times),
        restart_s=draw(times),
        work_s=np.array([0.0, *draw(segments)]),
        checkpoint_s=np.array([draw(times), *draw(segments)]),
        failures_per_s=draw(st.sampled_from([0.0, 1e-4, 1e-2, 1 / 60])),
        stragglers=StragglerDelays(
            per_work_s=draw(st.sampled_from([0.0, 1e-3, 0.05])), mean_s=draw(st.sampled_from([0.1, 3.0, 40.0]))
        ),
    )


def drawn(plan: RunPlan, seed: int, replication: int) -> tuple[Iterator[float], Iterator[tuple[float, float]]]:
    """Failures and delays of a replication, by the plain arithmetic of the hash."""
    stream = splitmix64(seed, replication)

    def exponential(stream: npt.ArrayLike, index: int) -> float:
        return -math.log(((int(splitmix64(stream, index)) >> 12) + 0.5) * 2.0**-52)

    def gaps_s() -> Iterator[float]:
        for failure in count():
            yield exponential(stream, failure) / plan.terms.failures_per_s if plan.terms.failures_per_s else math.inf

    def delays_s() -> Iterator[tuple[float, float]]:
        of_delays, stragglers = splitmix64(stream, 2**63), plan.terms.stragglers
        for delay in count():
            if not stragglers.per_work_s:
                yield math.inf, 0.0
            else:
                gap, length = exponential(of_delays, 2 * delay), exponential(of_delays, 2 * delay + 1)
                yield gap / stragglers.per_work_s, length * stragglers.mean_s

    return gaps_s(), delays_s()


@given(plans(), st.integers(0, 2**63))
def test_replications_match_a_run_event_by_event_on_the_same_draws(plan: RunPlan, seed: int) -> None:
    times = simulate_runs(plan, n_replications=3, seed=seed)
    for replication in range(3):
        gaps_s, delays_s = drawn(plan, seed, replication)
        played = play_run(plan, gaps_s=gaps_s, delays_s=delays_s)
        assert times.n_failures[replication] == played.n_failures
        # Sums of the same terms in another order.
        np.testing.assert_allclose(times.parts_s[replication], list(played.spent_s.values()), rtol=1e-9, atol=1e-8)
        assert times.total_s[replication] == pytest.approx(played.env.now, rel=1e-9)


def test_draws_are_splitmix64() -> None:
    """The first outputs of the seed 1234567, as other implementations print them."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert splitmix64(1234567, np.arange(5)).tolist() == known


@given(plans(), st.integers(0, 2**63))
def test_parts_sum_to_the_total(plan: RunPlan, seed: int) -> None:
    """The clock runs over gaps between failures, the parts over activities."""
    times = simulate_runs(plan, n_replications=20, seed=seed)
    np.testing.assert_allclose(times.parts_s.sum(axis=1), times.total_s, rtol=1e-10)
    assert (times.parts_s >= -1e-9).all()


@settings(max_examples=50)
@given(plans())
def test_without_failures_a_run_is_the_sum_of_its_parts(plan: RunPlan) -> None:
    plan = with_terms(plan, failures_per_s=0.0, stragglers=NO_STRAGGLERS)
    uninterrupted_s = plan.terms.compile_s + plan.terms.bring_up_s + float(plan.work_s.sum() + plan.checkpoint_s.sum())
    times = simulate_runs(plan, n_replications=2)
    assert (times.total_s == times.total_s[0]).all()
    assert times.total_s[0] == pytest.approx(uninterrupted_s, rel=1e-14)
    assert expected_run_s(plan) == pytest.approx(uninterrupted_s, rel=1e-14)
    assert times.n_failures.sum() == 0
    assert expected_parts_s(plan)["lost"] == expected_parts_s(plan)["restart"] == 0


@given(plans(), st.floats(1.0, 2.0))
def test_more_failures_never_shorten_the_expected_run(plan: RunPlan, factor: float) -> None:
    # A restart is a bring-up and more, and ends what makes a system slow: were the one shorter, or the other long, a
    # failure would be a gain.
    restart_s = max(plan.terms.restart_s, plan.terms.bring_up_s)
    plan = with_terms(plan, restart_s=restart_s, stragglers=NO_STRAGGLERS)
    more = with_terms(plan, failures_per_s=plan.terms.failures_per_s * factor)
    assert expected_run_s(more) >= expected_run_s(plan) * (1 - 1e-12)


@pytest.mark.parametrize("failures_per_s", [1 / 36_000, 1 / 6_000, 1 / 1_200])
@pytest.mark.parametrize("seed", [0, 1])
def test_renewal_formula_lies_inside_the_confidence_interval(failures_per_s: float, seed: int) -> None:
    plan, n = hour_plan(failures_per_s), 4_000
    times = simulate_runs(plan, n_replications=n, seed=seed)
    standard_error = times.total_s.std(ddof=1) / math.sqrt(n)
    assert abs(times.total_s.mean() - expected_run_s(plan)) < Z_99 * standard_error
    for part, expected_s in expected_parts_s(plan).items():
        drawn_s = times.parts_s[:, PARTS.index(part)]
        # Without any spread (the useful part) what is left is rounding.
        assert abs(drawn_s.mean() - expected_s) <= Z_99 * drawn_s.std(ddof=1) / math.sqrt(n) + 1e-6 * expected_s


def test_number_of_failures_is_their_rate_times_the_run() -> None:
    """Wald's identity; the compilation cannot fail."""
    plan = hour_plan(1 / 3_000)
    times = simulate_runs(plan, n_replications=4_000, seed=0)
    difference = times.n_failures - (times.total_s - plan.terms.compile_s) / 3_000
    assert abs(difference.mean()) < Z_99 * difference.std(ddof=1) / math.sqrt(4_000)
    assert abs(times.n_failures.mean() - expected_failures(plan)) < Z_99 * times.n_failures.std() / math.sqrt(4_000)


def test_hand_worked_renewal_formula() -> None:
    """One segment of 3 + 1 s, ready after 2 s, a restart of 2 s, a failure every 4 s on average.

    Ready: 4 (1 - e^-0.5) = 1.573877. Attempts: 4 (e^1 - 1) = 6.873127. Restarts: (1.573877 + 6.873127) / 4 of them,
    4 (e^0.5 - 1) = 2.594885 each: 5.479752. Sum 13.926756.
    """
    plan = segmented(
        bring_up_s=2.0,
        restart_s=2.0,
        work_s=np.array([3.0]),
        checkpoint_s=np.array([1.0]),
        failures_per_s=0.25,
    )
    parts = expected_parts_s(plan)
    assert parts["start_up"] == pytest.approx(1.573877, abs=1e-6)
    assert parts["lost"] == pytest.approx(2.873127, abs=1e-6)
    assert parts["restart"] == pytest.approx(5.479752, abs=1e-6)
    assert expected_run_s(plan) == pytest.approx(13.926756, abs=1e-6)


@pytest.mark.parametrize("mtbf_s", [2_000.0, 20_000.0, 200_000.0])
def test_daly_interval_is_where_the_expected_cost_is_least(mtbf_s: float) -> None:
    """The exact optimum solves (1 - t/M) exp((t + d)/M) = 1; Daly's series leaves an error below 0.1 % at d < M/100."""
    candidates = np.linspace(0.5, 2, 3_001) * young_interval_s(20.0, mtbf_s)
    cost = np.expm1((candidates + 20.0) / mtbf_s) / candidates
    assert daly_interval_s(20.0, mtbf_s) == pytest.approx(candidates[cost.argmin()], rel=2e-3)


def test_simulated_cost_is_least_at_dalys_interval() -> None:
    """Ten hours with a failure every 6 h: of intervals from 2.5 to 75 min, the one at Daly's 15 min costs least."""
    assert daly_interval_s(20.0, 6 * 3_600.0) == pytest.approx(916.3, abs=0.1)
    times = {
        interval_s: simulate_runs(hour_plan(1 / 21_600, interval_s), n_replications=20_000, seed=0)
        for interval_s in (150.0, 300.0, 600.0, 900.0, 1_200.0, 2_400.0, 4_500.0)
    }
    best = times.pop(900.0)
    for interval_s, other in times.items():
        noise = math.hypot(best.total_s.std(), other.total_s.std()) / math.sqrt(20_000)
        longer_s = other.total_s.mean() - best.total_s.mean()
        assert longer_s > -Z_99 * noise
        if interval_s <= 300 or interval_s >= 2_400:
            assert longer_s > Z_99 * noise


def test_a_run_that_never_ends_is_refused() -> None:
    for rate in (1 / 20, 10.0):
        with pytest.raises(SpecError, match="checkpoint more often"):
            simulate_runs(hour_plan(rate))


def test_a_rate_of_no_failures_changes_no_time_by_a_bit() -> None:
    lengths_s = np.random.default_rng(0).uniform(0.01, 1e6, 1000)
    assert attempts_s(0.0, lengths_s).tolist() == first_attempt_s(0.0, lengths_s).tolist() == lengths_s.tolist()


def test_without_failures_nothing_is_lost_whatever_rounding_says() -> None:
    stragglers = StragglerDelays(per_work_s=0.1, mean_s=3.0)
    plan = segmented(work_s=np.array([7.0, 7.0]), checkpoint_s=np.array([1.0, 1.0]), stragglers=stragglers)
    assert expected_parts_s(plan)["lost"] == 0
    assert expected_parts_s(plan)["straggler"] == pytest.approx(14 * 0.1 * 3.0)


def test_a_compilation_takes_long_without_failing() -> None:
    """A failure every 1000 s; in the 10^9 s of the compilation there would be ten times as many as a run may have."""
    plan = segmented(compile_s=1e9, work_s=np.array([10.0]), checkpoint_s=np.array([1.0]), failures_per_s=1e-3)
    assert expected_failures(plan) == pytest.approx(math.expm1(0.011), rel=1e-6)


def test_same_seed_same_runs_and_replications_do_not_depend_on_their_number() -> None:
    plan = hour_plan(1 / 3_000)
    few, many = simulate_runs(plan, n_replications=5, seed=3), simulate_runs(plan, n_replications=50, seed=3)
    assert (few.parts_s == many.parts_s[:5]).all()
    assert (simulate_runs(plan, n_replications=5, seed=4).total_s != few.total_s).all()
    assert few.percentile_s(0) == few.total_s.min()


def never_fails() -> Operations:
    return replace(load_operations(), system_mtbf_s=math.inf, cluster_mtbf_s=math.inf)


def test_plan_cuts_a_run_into_segments() -> None:
    """Ten steps of 2 s, saved at 0, 4, 8 and 10."""
    plan = plan_run(never_fails(), step_s=2.0, n_steps=10, n_parameters=10**9, n_systems=1, checkpoint_steps=4)
    assert plan.work_s.tolist() == [0, 8, 8, 4]
    assert plan.checkpoint_s.tolist() == [30.0, 82.0, 82.0, 82.0]
    assert plan.terms.bring_up_s == pytest.approx(60 + 220 + 3.2)
    assert plan.terms.restart_s == plan.terms.bring_up_s + 300
    assert plan.terms.failures_per_s == 0
    assert plan.terms.compile_s == 1800


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_steps": 0}, "at least 1"),
        ({"checkpoint_steps": 0}, "at least 1"),
        ({"step_s": 0.0, "checkpoint_steps": None}, "take time"),
        ({"step_s": math.nan}, "take time"),
    ],
)
def test_impossible_plan_is_refused(wrong: dict[str, Any], message: str) -> None:
    given = {"step_s": 1.0, "n_steps": 10, "n_parameters": 10**9, "n_systems": 1, "checkpoint_steps": 5, **wrong}
    with pytest.raises(SpecError, match=message):
        plan_run(load_operations(), **given)
