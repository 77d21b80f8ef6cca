"""Works are timed by turns."""

from collections.abc import Callable
from itertools import islice

from training.turns import turns_s


def test_works_take_turns_and_each_has_its_own_seconds() -> None:
    now, turns = [0.0], []

    def work(name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            turns.append(name)
            now[0] += seconds

        return call

    works = [work("dense", 2.0), work("masked", 3.0)]
    assert list(islice(turns_s(works, lambda: now[0]), 2)) == [[2.0, 3.0], [2.0, 3.0]]
    assert turns == ["dense", "masked"] * 2


def test_nothing_is_done_before_it_is_asked_for() -> None:
    done: list[int] = []
    turns = turns_s([lambda: done.append(1)], lambda: 0.0)
    assert not done
    next(turns)
    assert len(done) == 1
