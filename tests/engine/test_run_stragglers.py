"""Systems that are slow for a while: the closed form of the mean, replications, and the queue that both stand for."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.runs import cluster, hour_plan, none_or_up_to, with_terms
from wse_sim.engine.run_level import (
    PARTS,
    RunPlan,
    StragglerDelays,
    expected_parts_s,
    expected_run_s,
    plan_run,
    simulate_runs,
    straggler_delays,
)
from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations
from wse_sim.units import S_PER_DAY

Z_99 = 2.576  # a fixed seed passes or fails for good; a right formula fails for one seed in a hundred


def slow_cluster(
    *, per_day: float, mean_s: float, slowdown: float, mtbf_s: float = math.inf, checkpoint_s: float = 0.0
) -> Operations:
    return cluster(
        checkpoint_s=checkpoint_s,
        mtbf_s=mtbf_s,
        stragglers_per_system_day=per_day,
        straggler_duration_s=mean_s,
        straggler_slowdown=slowdown,
    )


@pytest.mark.parametrize("failures_per_s", [0.0, 1 / 36_000, 1 / 3_000, 1 / 1_200])
@pytest.mark.parametrize(
    "stragglers",
    [
        StragglerDelays(per_work_s=1e-4, mean_s=60.0),
        StragglerDelays(per_work_s=1e-3, mean_s=600.0),
        StragglerDelays(per_work_s=1 / 6_000, mean_s=3_000.0),
    ],
    ids=["rare and short", "often", "longer than between failures"],
)
def test_closed_form_lies_inside_the_confidence_interval(failures_per_s: float, stragglers: StragglerDelays) -> None:
    plan, n = hour_plan(failures_per_s, stragglers=stragglers), 4_000
    times, parts_s = simulate_runs(plan, n_replications=n, seed=0), expected_parts_s(plan)
    assert parts_s["straggler"] > 0
    assert abs(times.total_s.mean() - expected_run_s(plan)) < Z_99 * times.total_s.std(ddof=1) / math.sqrt(n)
    for part in ("straggler", "lost", "restart"):
        drawn_s = times.parts_s[:, PARTS.index(part)]
        assert (
            abs(drawn_s.mean() - parts_s[part])
            <= Z_99 * drawn_s.std(ddof=1) / math.sqrt(n) + 1e-9 * times.total_s.mean()
        )


@dataclass(kw_only=True)
class PlayedCluster:
    """Systems that become slow and quick again one by one, each on its own: the clock goes from change to change.

    Parameters
    ----------
    starts_per_s :
        Episodes, over all systems.
    mean_s :
        Length of one.
    fails_at_s :
        The next failure, on the clock.
    """

    draws: np.random.Generator
    starts_per_s: float
    mean_s: float
    slowdown: float
    n_slow: int = 0
    clock_s: float = 0.0
    fails_at_s: float = math.inf

    def goes_on(self, duration_s: float, *, is_work: bool) -> bool:
        """Whether something that takes `duration_s` when no system is slow comes to its end before the next failure."""
        left_s = duration_s
        while left_s > 0:
            rate = self.starts_per_s + self.n_slow / self.mean_s
            factor = self.slowdown if is_work and self.n_slow else 1.0
            to_change_s = self.draws.exponential(1 / rate)
            passed_s = min(to_change_s, left_s * factor)
            if self.clock_s + passed_s >= self.fails_at_s:
                self.clock_s = self.fails_at_s
                return False
            self.clock_s += passed_s
            left_s = 0.0 if passed_s < to_change_s else left_s - passed_s / factor
            if passed_s == to_change_s:
                self.n_slow += 1 if self.draws.random() < self.starts_per_s / rate else -1
        return True

    def run_s(self, plan: RunPlan, *, do_restarts_end_episodes: bool) -> float:
        """Time of a whole run; restarts find all systems quick, or as they are."""
        self.fails_at_s = self.draws.exponential(1 / plan.terms.failures_per_s)
        to_ready_s, saved = plan.terms.bring_up_s, 0
        while saved < len(plan.work_s):
            is_up = self.goes_on(to_ready_s, is_work=False)
            self.n_slow = 0 if do_restarts_end_episodes else self.n_slow
            while is_up and saved < len(plan.work_s):
                is_up = self.goes_on(plan.work_s[saved], is_work=True)
                is_up = is_up and self.goes_on(plan.checkpoint_s[saved], is_work=False)
                saved += is_up
            if not is_up:
                self.fails_at_s = self.clock_s + self.draws.exponential(1 / plan.terms.failures_per_s)
                to_ready_s = plan.terms.restart_s
        return plan.terms.compile_s + self.clock_s


@pytest.mark.parametrize(("n_systems", "per_day", "slowdown"), [(1, 24.0, 1.5), (16, 1.0, 1.1), (64, 1.0, 3.0)])
def test_delays_have_the_mean_of_systems_that_are_slow_on_their_own(
    n_systems: int, per_day: float, slowdown: float
) -> None:
    """Episodes of 20 min: 0.3, 0.2 and 0.9 systems are slow at a time. Twenty runs give the standard error."""
    operations = slow_cluster(per_day=per_day, mean_s=1200.0, slowdown=slowdown)

    def stretch(seed: int) -> float:
        draws, starts_per_s = np.random.default_rng(seed), n_systems * per_day / S_PER_DAY
        played = PlayedCluster(draws=draws, starts_per_s=starts_per_s, mean_s=1200.0, slowdown=slowdown)
        played.n_slow = int(draws.poisson(starts_per_s * 1200.0))  # as many as there are on average, at random
        played.goes_on(2e6, is_work=True)
        return played.clock_s / 2e6

    played = [stretch(seed) for seed in range(20)]
    error = np.std(played, ddof=1) / math.sqrt(20)
    assert abs(np.mean(played) - straggler_delays(operations, n_systems).stretch(0.0)) < Z_99 * error


def test_formula_lies_between_restarts_that_end_all_episodes_and_restarts_that_end_none() -> None:
    """Sixteen systems, each slow by half for 4 h every three days, and a failure every two days."""
    operations = slow_cluster(per_day=0.3, mean_s=14_400.0, slowdown=1.5, mtbf_s=16 * 172_800.0, checkpoint_s=800.0)
    plan = plan_run(operations, step_s=10.0, n_steps=40_000, n_parameters=1, n_systems=16)
    mean_s, error_s = [], []
    for do_restarts_end_episodes in (True, False):
        draws = np.random.default_rng(0)
        times_s = [
            PlayedCluster(draws=draws, starts_per_s=16 * 0.3 / S_PER_DAY, mean_s=14_400.0, slowdown=1.5).run_s(
                plan, do_restarts_end_episodes=do_restarts_end_episodes
            )
            for _ in range(2_000)
        ]
        mean_s.append(np.mean(times_s))
        error_s.append(np.std(times_s) / math.sqrt(2_000))
    expected_s = expected_run_s(plan)
    assert mean_s[0] + 2 * error_s[0] < expected_s < mean_s[1] - 2 * error_s[1]
    assert mean_s[1] < 1.025 * mean_s[0]


def test_hand_worked_delays() -> None:
    """Two systems, each slow once in 2000 s for 500 s: L D = 1/2, none is slow exp(-1/2) = 0.606531 of the time.

    Steps take twice as long otherwise: 0.393469 / 2 = 0.196735 of the time is lost, one second of steps takes
    1 / (1 - 0.196735) = 1.244919 s with 0.001244919 episodes, each of which costs 196.735 s.
    """
    operations = slow_cluster(per_day=S_PER_DAY / 2000, mean_s=500.0, slowdown=2.0)
    delays = straggler_delays(operations, 2)
    assert delays.per_work_s == pytest.approx(1.244919e-3, rel=1e-6)
    assert delays.mean_s == pytest.approx(196.735, rel=1e-5)
    plan = plan_run(operations, step_s=1.0, n_steps=10_000, n_parameters=1, n_systems=2)
    assert expected_run_s(plan) == pytest.approx(12_449.19, rel=1e-6)


@given(st.integers(1, 10**5), none_or_up_to(100.0), st.floats(1.0, 1e5), st.floats(1.0, 10.0))
def test_stretch_lies_between_none_and_the_slowdown_and_grows_with_the_systems(
    n_systems: int, per_day: float, duration_s: float, slowdown: float
) -> None:
    operations = slow_cluster(per_day=per_day, mean_s=duration_s, slowdown=slowdown)
    few, many = (straggler_delays(operations, n).stretch(0.0) for n in (n_systems, 2 * n_systems))
    assert 1 <= few <= many * (1 + 1e-12) <= slowdown * (1 + 1e-9)
    # A failure ends an episode, so that it shortens what is left of it.
    assert straggler_delays(operations, n_systems).stretch(1e-4) <= few


def test_without_stragglers_not_one_bit_of_a_run_changes() -> None:
    """The bits of the replications before there were stragglers."""
    plan = hour_plan(1 / 3_000)
    times = simulate_runs(plan, n_replications=100, seed=0)
    before = np.delete(times.parts_s, PARTS.index("straggler"), axis=1)
    digest = hashlib.sha256(before.tobytes() + times.total_s.tobytes()).hexdigest()
    assert digest == "ed3556ef7aa1cac996bf8c2b3c979332a5481121e10802b056cdc63a5bc69759"
    assert expected_run_s(plan) == 50046.014921300186
    assert not times.parts_s[:, PARTS.index("straggler")].any()


def test_failures_are_the_same_with_and_without_stragglers() -> None:
    """Common random numbers: a run that is never reached by a failure differs by its delays alone."""
    plan = hour_plan(1 / 36_000)
    slow = with_terms(plan, stragglers=StragglerDelays(per_work_s=1e-4, mean_s=60.0))
    quick_times, slow_times = (simulate_runs(p, n_replications=100, seed=3) for p in (plan, slow))
    is_unbroken = slow_times.n_failures == 0
    assert is_unbroken.sum() > 10
    delays_s = slow_times.parts_s[is_unbroken, PARTS.index("straggler")]
    np.testing.assert_allclose(slow_times.total_s[is_unbroken], quick_times.total_s[is_unbroken] + delays_s, rtol=1e-12)
    assert (slow_times.n_failures >= quick_times.n_failures).all()


def test_more_episodes_than_can_be_played_are_refused() -> None:
    plan = hour_plan(0.0, stragglers=StragglerDelays(per_work_s=10.0, mean_s=0.01))
    with pytest.raises(SpecError, match="lower stragglers_per_system_day"):
        simulate_runs(plan)
