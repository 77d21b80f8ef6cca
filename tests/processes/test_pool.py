"""Tasks are done by processes of their own, and their errors come back under their names."""

import re
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest

from tests.processes.work import Number, Numbers, Pieces, Root, Square
from tests.stopping import came_true, interrupted_once
from wse_sim.errors import LostError, SpecError
from wse_sim.processes.attempts import end_in_words
from wse_sim.processes.pool import on_processes

SQUARED, ROOTED, SLEPT = (f"tests.processes.work:{name}" for name in ("squared", "rooted", "slept"))
IN_DANGER = "tests.processes.work:squared_in_danger"


@pytest.mark.parametrize("n_workers", [1, 2])
def test_each_task_has_one_outcome(n_workers: int) -> None:
    tasks = [Number(value=value) for value in range(12)]
    outcomes = list(on_processes(SQUARED, tasks, Square, n_workers=n_workers))
    assert sorted(outcome.value for outcome in outcomes) == [value * value for value in range(12)]


def test_tasks_are_taken_as_they_are_begun() -> None:
    tasks = Numbers(200)
    with closing(on_processes(SQUARED, tasks, Square, n_workers=1)) as outcomes:
        next(outcomes)
        assert tasks.n_taken <= 8
        assert len(list(outcomes)) == 199


def test_wrong_task_is_the_users_and_a_bug_is_ours() -> None:
    with pytest.raises(SpecError, match=r"^the square of -1: -1 is negative$"):
        list(on_processes(SQUARED, [Number(value=-1)], Square, n_workers=1))
    with pytest.raises(RuntimeError, match=r"the square of 13: Traceback(.|\n)*ZeroDivisionError"):
        list(on_processes(SQUARED, [Number(value=13)], Square, n_workers=1))


def test_worker_that_cannot_begin_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="the square of 1: its process ended with code 1"):
        list(on_processes("tests.processes.no_module:squared", [Number(value=1)], Square, n_workers=1))
    assert "No module named 'tests.processes.no_module'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([Number(value=4), Number(value=-1)], "the square of -1: Traceback(.|\n)*Expected `float`, got `null`"),
        ([Number(value=4), Number(value=9, folder=object())], "the square of 9: Traceback(.|\n)*TypeError"),
    ],
)
def test_what_json_cannot_hold_is_an_error_and_not_a_wait_for_ever(tasks: list[Number], message: str) -> None:
    """An outcome of NaN, which JSON writes as null, and a task with something that is no text in it."""
    errors: list[RuntimeError] = []

    def do() -> None:
        try:
            list(on_processes(ROOTED, tasks, Root, n_workers=1))
        except RuntimeError as error:
            errors.append(error)

    doing = Thread(target=do, daemon=True)
    doing.start()
    doing.join(timeout=60)
    assert not doing.is_alive()
    assert re.search(message, str(errors[0]))


def test_who_stops_early_interrupts_the_workers_and_waits_for_them(tmp_path: Path) -> None:
    tasks = [Number(value=1), Number(value=2, folder=str(tmp_path))]
    with closing(on_processes(SLEPT, tasks, Square, n_workers=2)) as outcomes:
        assert next(outcomes) == Square(0)
        assert came_true((tmp_path / "begun").exists)
    assert (tmp_path / "interrupted").exists()


def test_ctrl_c_reaches_the_workers_once_and_through_the_caller(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted_once((tmp_path / "begun").exists):
        list(on_processes(SLEPT, [Number(value=1, folder=str(tmp_path))], Square, n_workers=1))
    assert (tmp_path / "interrupted").exists()


def in_danger(tmp_path: Path, n_kills: int, how: Literal["task", "reply"] = "task") -> list[int]:
    """The squares of 0 to 11, three to a task, by two processes, of which 4 and 7 cost some their lives."""
    tasks = [
        Pieces(values=(n, n + 1, n + 2), killers=(4, 7), n_kills=n_kills, folder=str(tmp_path), how=how)
        for n in range(0, 12, 3)
    ]
    outcomes = on_processes(IN_DANGER, tasks, list[Square], n_workers=2)
    return sorted(square.value for squares in outcomes for square in squares)


@pytest.mark.parametrize("how", ["task", "reply"])
@pytest.mark.parametrize("n_kills", [1, 2])
def test_task_whose_process_was_killed_is_done_again_once(
    tmp_path: Path, n_kills: int, how: Literal["task", "reply"]
) -> None:
    assert in_danger(tmp_path, n_kills, how) == [n * n for n in range(12)]
    assert len(list(tmp_path.iterdir())) == 2 * n_kills


def test_task_that_costs_three_processes_their_lives_is_named_by_its_smallest_part(tmp_path: Path) -> None:
    message = (
        r"^the square of [47]: the process that worked on it was ended by SIGKILL, 3 times in a row; .* same command$"
    )
    with pytest.raises(LostError, match=message):
        in_danger(tmp_path, n_kills=3)


def test_ends_are_told_in_words() -> None:
    assert [end_in_words(code) for code in (0, 7, -9, -63)] == [
        *("ended with code 0", "ended with code 7", "was ended by SIGKILL", "was ended by signal 63")
    ]
