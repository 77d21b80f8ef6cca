"""The Pareto front, against all pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wse_sim.planning.front import pareto_front
from wse_sim.planning.space import FloatArray

# Few different values, so that rows tie in one figure and in all of them, and more than are passed over by columns.
FIGURES = arrays(
    np.float64, st.tuples(st.integers(0, 60), st.just(3)), elements=(st.integers(0, 6) | st.integers(0, 100)).map(float)
)


def dominates(a: FloatArray, b: FloatArray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(FIGURES)
def test_nothing_dominates_the_front_and_everything_else_is_dominated_or_equal(figures: FloatArray) -> None:
    front = pareto_front(figures)
    for i in front:
        assert not any(dominates(row, figures[i]) for row in figures)
    for i in set(range(len(figures))) - set(front.tolist()):
        assert any(dominates(figures[j], figures[i]) or (figures[j] == figures[i]).all() for j in front)


@given(FIGURES)
def test_rows_of_the_front_differ_and_ascend(figures: FloatArray) -> None:
    front = figures[pareto_front(figures)]
    assert len(np.unique(front, axis=0)) == len(front)
    assert (np.diff(front[:, 0]) >= 0).all()


def test_of_no_rows_there_is_no_front() -> None:
    assert len(pareto_front(np.zeros((0, 3)))) == 0
