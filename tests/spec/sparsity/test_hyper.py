"""Hyper-parameter schedules follow their formulas, are clamped, and hang on step and update number alone."""

import math

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.hyper import (
    Constant,
    Cosine,
    Cubic,
    Cycling,
    Exp,
    Hyperparameter,
    Linear,
    Power,
    step_of,
    value_at,
)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (0.3, 7, 0.3),
        (Constant(value=0.3), 7, 0.3),
        (Linear(init=0.1, slope=0.002), 100, 0.3),
        (Exp(init=0.2, gamma=-0.01, final=0.8), 100, 0.8 - 0.6 / math.e),
        (Power(init=0.9, beta=0.5), 3, 0.1125),
        (Cosine(init=0.3, half_period=100), 0, 0.3),
        (Cosine(init=0.3, half_period=100, minimum=0.1), 50, 0.2),
        (Cosine(init=0.3, half_period=100, minimum=0.1), 100, 0.1),
        (Cosine(init=0.3, half_period=0.5), 200, 0.0),  # half of 400 steps
        (Cubic(final=0.8, stop=200), 100, 0.7),  # 0.8 (1 - 1/8)
        (Cubic(init=0.2, final=0.8, start=100, stop=200), 50, 0.2),
        (Cubic(init=0.2, final=0.8, start=100, stop=200), 300, 0.8),
    ],
)
def test_value_is_that_of_the_formula(schedule: Hyperparameter, step: int, expected: float) -> None:
    assert value_at(schedule, step, n_updates=0, n_steps=400) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.0), (10, 0.5), (30, 1.0)])
def test_value_is_clamped(step: int, expected: float) -> None:
    assert value_at(Linear(init=-0.5, slope=0.1), step, 0, 400) == pytest.approx(expected)


def test_a_list_cycles_with_the_number_of_the_update_whatever_the_step() -> None:
    values = (0.5, 0.6, 0.7)
    assert [value_at(values, 1000 - n, n, 400) for n in range(5)] == [0.5, 0.6, 0.7, 0.5, 0.6]
    assert value_at(Cycling(values=values), 0, 4, 400) == 0.6


def test_a_whole_number_is_a_step_and_a_fraction_a_share_of_the_run() -> None:
    assert (step_of(3, 400), step_of(0.75, 400), step_of(1.0, 400)) == (3, 300, 400)
    with pytest.raises(SpecError, match=r"3584\.0 is no step"):
        step_of(3584.0, 400)


@pytest.mark.parametrize("wrong", [lambda: Cosine(init=0.3, half_period=0), lambda: Cycling(values=())])
def test_a_schedule_that_says_nothing_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError):
        wrong()
