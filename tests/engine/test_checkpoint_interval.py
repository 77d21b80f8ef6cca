"""How often to save: the exact minimum against every interval, against Young and Daly, and how flat it is."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.runs import cluster, none_or_up_to, young_interval_s
from wse_sim.engine.run_level import (
    best_checkpoint_interval,
    chosen_checkpoint_steps,
    daly_interval_s,
    expected_run_s,
    plan_run,
)
from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations, load_gpu_operations, load_operations

LONG = 10**10  # steps; an interval then has about 10^6 of them, and there are about 10^4 intervals


def long_run(e: float) -> dict[str, Any]:
    """Arguments of a long run in which a checkpoint takes 2 e^2 of the mean time between failures, 10,000 s."""
    operations = cluster(checkpoint_s=2 * e**2 * 1e4, mtbf_s=1e4)
    step_s = young_interval_s(2 * e**2 * 1e4, 1e4) / 1e6
    return {"operations": operations, "step_s": step_s, "n_steps": LONG, "n_parameters": 1, "n_systems": 1}


@pytest.mark.parametrize("e", [0.02, 0.1, 0.3, 0.5, 0.7])
def test_best_interval_is_dalys_and_youngs_within_their_errors(e: float) -> None:
    """With x = w / M and e = sqrt(d / 2M) the cost (exp(x + 2 e^2) - 1) / x is least where -ln(1 - x) = x + 2 e^2.

    Inserting a series gives x = 2e - 4/3 e^2 + 2/9 e^3 + 8/135 e^4 + ... Young's interval is the first term: it is too
    long by the fraction 2/3 e, to first order. Daly's is the first three, x = 2e (1 + e/3 + e^2/9) - 2 e^2: it is too
    short by 4/135 e^3. Over the whole range e < 1 for which Daly states his, the errors are 0.79 to 1 times the one and
    1 to 2.3 times the other (numerically, from the equation). An interval cannot be found more exactly than one in all.
    """
    best = best_checkpoint_interval(**long_run(e))
    checkpoint_s = 2 * e**2 * 1e4
    grain = best.steps / LONG
    of_young = 1 - best.interval_s / young_interval_s(checkpoint_s, 1e4)
    assert 0.79 * 2 / 3 * e - grain <= of_young <= 2 / 3 * e + grain
    of_daly = best.interval_s / daly_interval_s(checkpoint_s, 1e4) - 1
    assert 4 / 135 * e**3 - grain <= of_daly <= 2.3 * 4 / 135 * e**3 + grain


@pytest.mark.parametrize("e", [0.02, 0.1, 0.3, 0.5, 0.7])
def test_a_run_saved_at_dalys_interval_takes_hardly_longer_than_the_best(e: float) -> None:
    """The cost is flat at its minimum: a fraction f too long or too short costs e f^2 of the run, to first order.

    That is 4/9 e^3 for Young's interval and (4/135)^2 e^7 for Daly's, times the squares of the factors above.
    """
    run = long_run(e)
    best = best_checkpoint_interval(**run)

    def loss(interval_s: float) -> float:
        steps = round(interval_s / run["step_s"])
        return expected_run_s(plan_run(**run, checkpoint_steps=steps)) / best.run_s - 1

    checkpoint_s, grain = 2 * e**2 * 1e4, e * best.steps / LONG
    assert 0 <= loss(daly_interval_s(checkpoint_s, 1e4)) < 2.3**2 * (4 / 135) ** 2 * e**7 + grain
    assert 0 <= loss(young_interval_s(checkpoint_s, 1e4)) < 4 / 9 * e**3 + grain


@settings(max_examples=60)
@given(
    st.integers(1, 400),
    st.floats(0.1, 100.0),
    none_or_up_to(300.0),
    st.sampled_from([math.inf, 1e5, 3e3, 500.0]),
    st.sampled_from([0.0, 20.0]),
)
def test_no_interval_in_whole_steps_is_better(
    n_steps: int, step_s: float, checkpoint_s: float, mtbf_s: float, stragglers: float
) -> None:
    operations = cluster(checkpoint_s=checkpoint_s, mtbf_s=mtbf_s, stragglers_per_system_day=stragglers)
    run: dict[str, Any] = {"step_s": step_s, "n_steps": n_steps, "n_parameters": 1, "n_systems": 1}
    best = best_checkpoint_interval(operations, **run)

    def run_s(checkpoint_steps: int) -> float:
        try:
            return expected_run_s(plan_run(operations, **run, checkpoint_steps=checkpoint_steps))
        except SpecError:  # it does not come to its end
            return math.inf

    every_s = [run_s(steps) for steps in range(1, n_steps + 1)]
    assert best.run_s == pytest.approx(every_s[best.steps - 1], rel=1e-12)
    assert best.run_s <= min(every_s) * (1 + 1e-12)
    assert best.interval_s == best.steps * step_s
    assert best.loss_at_half >= -1e-12
    assert best.loss_at_double >= -1e-12


@pytest.mark.parametrize("mtbf_s", [4.0, 6.0, 12.0, 40.0, 120.0])
def test_of_short_runs_no_interval_is_better_either(mtbf_s: float) -> None:
    """Where the best number of steps is one more than the root of the run's, as 3 of 8, too."""
    operations = cluster(checkpoint_s=1.0, mtbf_s=mtbf_s)
    for n_steps in range(1, 20):
        run: dict[str, Any] = {"step_s": 1.0, "n_steps": n_steps, "n_parameters": 1, "n_systems": 1}
        best = best_checkpoint_interval(operations, **run)
        every = [expected_run_s(plan_run(operations, **run, checkpoint_steps=n)) for n in range(1, n_steps + 1)]
        assert best.run_s == pytest.approx(min(every), rel=1e-12)
        assert every[best.steps - 1] == pytest.approx(min(every), rel=1e-12)


@pytest.mark.parametrize(("mtbf_s", "steps"), [(120.0, 15), (40.0, 8), (4.0, 2), (1.0, 1)])
def test_losses_are_of_half_and_of_twice_the_steps(mtbf_s: float, steps: int) -> None:
    run: dict[str, Any] = {"step_s": 1.0, "n_steps": 1000, "n_parameters": 1, "n_systems": 1}
    operations = cluster(checkpoint_s=1.0, mtbf_s=mtbf_s)
    best = best_checkpoint_interval(operations, **run)
    assert best.steps == steps
    half, double = (
        expected_run_s(plan_run(operations, **run, checkpoint_steps=n)) / best.run_s - 1
        for n in (max(1, round(steps / 2)), 2 * steps)
    )
    assert (best.loss_at_half, best.loss_at_double) == pytest.approx((half, double), rel=1e-6, abs=1e-12)


def test_a_long_compilation_is_no_reason_to_refuse_a_run() -> None:
    """A failure every 1000 s: in the 10^9 s of the compilation, in which none can be, there would be 10^6."""
    operations = cluster(checkpoint_s=1.0, mtbf_s=1e3, compile_s=1e9)
    best = best_checkpoint_interval(operations, step_s=1.0, n_steps=100, n_parameters=1, n_systems=1)
    assert best.run_s == pytest.approx(1e9, rel=1e-6)


def test_flatness_of_the_optimum() -> None:
    """To first order the overhead of an interval w is d / w + w / 2M, with the minimum h = sqrt(2 d / M).

    At half and at twice the interval it is h (2 + 1/2) / 2: a quarter of h more, and h = 0.02 here.
    """
    best = best_checkpoint_interval(
        cluster(checkpoint_s=2.0, mtbf_s=1e4), step_s=1e-3, n_steps=10**9, n_parameters=1, n_systems=1
    )
    assert best.loss_at_half == pytest.approx(0.02 / 4, rel=0.05)
    assert best.loss_at_double == pytest.approx(0.02 / 4, rel=0.05)


def test_without_failures_one_checkpoint_is_best_and_without_cost_one_after_every_step() -> None:
    run: dict[str, Any] = {"step_s": 1.0, "n_steps": 1000, "n_parameters": 1, "n_systems": 1}
    assert best_checkpoint_interval(cluster(checkpoint_s=5.0, mtbf_s=math.inf), **run).steps == 1000
    assert best_checkpoint_interval(cluster(checkpoint_s=0.0, mtbf_s=math.inf), **run).steps == 1000
    assert best_checkpoint_interval(cluster(checkpoint_s=0.0, mtbf_s=1e4), **run).steps == 1


def test_stragglers_shorten_the_best_interval() -> None:
    """A second of steps that takes 1.5 s is two thirds as many steps until the next checkpoint."""
    run: dict[str, Any] = {"step_s": 1.0, "n_steps": 10**6, "n_parameters": 1, "n_systems": 1}
    quick = cluster(checkpoint_s=20.0, mtbf_s=1e6)
    slow = replace(quick, stragglers_per_system_day=1e4, straggler_duration_s=60.0, straggler_slowdown=1.5)
    lengths = [best_checkpoint_interval(operations, **run).interval_s for operations in (quick, slow)]
    assert lengths[1] == pytest.approx(lengths[0] / 1.5, rel=0.02)


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ({"checkpoint_steps": 30}, 30),
        ({"checkpoint_steps": 5000}, 1000),
        ({"checkpoint_interval_s": 62.5}, 31),
        ({"checkpoint_interval_s": 63.5}, 32),
        ({"checkpoint_interval_s": 0.1}, 1),
        ({"checkpoint_interval_s": 1e9}, 1000),
        ({}, 100),
    ],
)
def test_an_interval_that_is_asked_for_is_taken(asked: dict[str, Any], steps: int) -> None:
    """Steps of 2 s; Daly's interval, of which the best is near, is 201 s."""
    operations = replace(cluster(checkpoint_s=2.0, mtbf_s=1e4), **asked)
    run: dict[str, Any] = {"step_s": 2.0, "n_steps": 1000, "n_parameters": 1, "n_systems": 1}
    assert chosen_checkpoint_steps(operations, **run) == steps
    assert plan_run(operations, **run).work_s[1] == 2.0 * steps


def test_a_run_that_no_interval_lets_end_is_refused() -> None:
    with pytest.raises(SpecError, match="however often it is saved: there is a failure every 10 s, a checkpoint takes"):
        best_checkpoint_interval(
            cluster(checkpoint_s=200.0, mtbf_s=10.0), step_s=1.0, n_steps=10**6, n_parameters=1, n_systems=1
        )


@pytest.mark.parametrize(("mtbf_min", "best_min"), [(24 * 60, 117), (6 * 60, 57), (15, 9.1)])
def test_daly_interval_matches_his_figures(mtbf_min: float, best_min: float) -> None:
    """Daly 2006, captions of Figs. 3, 4 and 5: checkpoints of 5 min; printed to two or three digits."""
    assert daly_interval_s(5.0, mtbf_min) == pytest.approx(best_min, abs=0.5 if best_min > 10 else 0.05)


@pytest.mark.parametrize("checkpoint_s", [20.0, 21.0])
def test_checkpoint_as_long_as_twice_the_mean_time_between_failures(checkpoint_s: float) -> None:
    assert daly_interval_s(checkpoint_s, 10.0) == 10.0


@pytest.mark.parametrize("checkpoint_s", [1.0, 11.0, 15.0, 19.9])
def test_daly_interval_is_his_equation_up_to_twice_the_mean_time_between_failures(checkpoint_s: float) -> None:
    """sqrt(2 d M) (1 + sqrt(d / 2M) / 3 + (d / 2M) / 9) - d, as he writes Eq. (37)."""
    x = checkpoint_s / 20
    expected_s = math.sqrt(20 * checkpoint_s) * (1 + math.sqrt(x) / 3 + x / 9) - checkpoint_s
    assert daly_interval_s(checkpoint_s, 10.0) == pytest.approx(expected_s, rel=1e-12)


@pytest.mark.parametrize(("load", "system_mtbf_s"), [(load_operations, 2.3e7), (load_gpu_operations, 2.28e7)])
def test_default_plan_saves_at_the_best_interval(load: Callable[[], Operations], system_mtbf_s: float) -> None:
    operations, rate = load(), 16 / system_mtbf_s + 1 / 7.8e6
    run: dict[str, Any] = {"step_s": 2.0, "n_steps": 10**6, "n_parameters": 10**9, "n_systems": 16}
    plan = plan_run(operations, **run)
    assert plan.terms.failures_per_s == pytest.approx(rate)
    assert plan.work_s[1] == best_checkpoint_interval(operations, **run).interval_s
    assert plan.work_s[1] == pytest.approx(daly_interval_s(operations.checkpoint_s(1e9, 16), 1 / rate), rel=0.01)


@pytest.mark.parametrize("wrong", [{"n_steps": 0}, {"step_s": 0.0}, {"step_s": math.nan}])
def test_a_run_without_steps_has_no_interval(wrong: dict[str, Any]) -> None:
    run: dict[str, Any] = {"step_s": 1.0, "n_steps": 10, "n_parameters": 1, "n_systems": 1}
    with pytest.raises(SpecError, match="at least one, and it must take time"):
        best_checkpoint_interval(load_operations(), **{**run, **wrong})
