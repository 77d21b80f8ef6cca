"""An algorithm in a run of another length changes masks as often, at the same fractions of the run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.spec.sparsity import GMP, SET, SPDF, Algorithm, RigL, Static, Update, stretched
from wse_sim.spec.sparsity.hyper import Cosine, Cubic, Exp, Linear, Power, value_at
from wse_sim.spec.sparsity.updates import update_steps

RIGL = RigL(drop_fraction=Cosine(init=0.3, half_period=750), update=Update(freq=50, stop=750))


@pytest.mark.parametrize("algorithm", [Static(sparsity=0.5), RIGL, SPDF(sparsity=0.9, lift_at=400)])
def test_at_its_own_length_nothing_changes(algorithm: Algorithm) -> None:
    assert stretched(algorithm, of=1000, n_steps=1000) is algorithm


@given(n_steps=st.integers(20, 5000))
def test_masks_change_as_often_and_until_the_same_fraction(n_steps: int) -> None:
    other = stretched(RIGL, of=1000, n_steps=n_steps)
    assert isinstance(other, RigL)
    steps = update_steps(other.update, n_steps)
    assert steps[-1] / n_steps < 0.75 + 1 / n_steps
    assert other.update is not None
    assert other.update.freq is not None
    assert abs(other.update.freq - max(1.0, 50 * n_steps / 1000)) <= 0.5
    for step in steps:
        ours = value_at(RIGL.drop_fraction, round(step * 1000 / n_steps), 0, 1000)
        # Both steps are rounded, and a step of a thousand changes the fraction by less than 0.3 pi / 750 / 2.
        assert value_at(other.drop_fraction, step, 0, n_steps) == pytest.approx(ours, abs=0.001 + 1 / n_steps)


@pytest.mark.parametrize(
    "schedule", [Linear(init=0.1, slope=6e-4), Exp(init=0.1, gamma=-2e-3, final=0.8), Power(init=0.9, beta=0.999),
                 Cubic(final=0.9, start=100, stop=800), Cosine(init=0.2, half_period=4000, minimum=0.9)],
)  # fmt: skip
@pytest.mark.parametrize("factor", [2, 10])
def test_a_schedule_has_the_same_value_at_the_same_fraction(schedule: Linear, factor: int) -> None:
    whole = GMP(sparsity=schedule, update=Update(freq=10))
    longer = stretched(whole, of=1000, n_steps=1000 * factor)
    assert isinstance(longer, GMP)
    assert longer.sparsity is not None
    for step in range(0, 1000, 50):
        expected = value_at(schedule, step, 0, 1000)
        assert value_at(longer.sparsity, step * factor, 0, 1000 * factor) == pytest.approx(expected, rel=1e-9)


def test_steps_by_name_and_lifting_move_with_the_run() -> None:
    masked = SET(update=Update(steps=(100, 500)), drop_fraction=(0.3, 0.1))
    assert stretched(masked, of=1000, n_steps=100) == SET(update=Update(steps=(10, 50)), drop_fraction=(0.3, 0.1))
    assert stretched(SPDF(lift_at=400), of=1000, n_steps=10) == SPDF(lift_at=0.4)
    assert stretched(SET(), of=1000, n_steps=10) == SET(update=Update(freq=1))
