"""Masks change at the steps that were written, and never after the last one."""

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.updates import Update, update_steps


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (Update(freq=3), [0, 3, 6]),
        (Update(freq=3, start=1, stop=7), [1, 4]),
        (Update(freq=2, stop=0.75), [0, 2, 4]),
        (Update(freq=4), [0, 4]),
        (Update(steps=(2, 5, 8, 100)), [2, 5]),
    ],
)
def test_steps_of_a_run_of_eight(update: Update | None, expected: list[int]) -> None:
    assert list(update_steps(update, 8)) == expected


@pytest.mark.parametrize(
    "wrong",
    [{}, {"freq": 0}, {"freq": 2, "steps": (1,)}, {"steps": (1,), "stop": 5}, {"steps": (3, 1)}, {"steps": ()},
     {"freq": 1, "start": -1}],
)  # fmt: skip
def test_an_update_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="update: "):
        Update(**wrong)  # type: ignore[arg-type]


def test_an_update_that_never_comes_is_refused() -> None:
    with pytest.raises(SpecError, match="no step"):
        update_steps(Update(freq=5, start=10), 8)
