"""How far a sweep is, and its rows for people."""

import io

import pytest
from rich.console import Console

from wse_sim.cli.sweep_display import sweep_progress
from wse_sim.sweeps.sweep import Row


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that it is, to be changed."""
    now_s = [0.0]
    monkeypatch.setattr("wse_sim.cli.sweep_display.monotonic", lambda: now_s[0])
    return now_s


def said(clock: list[float], *, n_known: int, step_s: float, is_terminal: bool = False) -> str:
    """What is printed of a sweep of 40 points that come two at a time."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=100, highlight=False)
    with sweep_progress(40, console) as watch:
        watch.begin(n_known)
        for index in range(n_known, 40, 2):
            clock[0] += step_s
            watch.came([Row(index), Row(index + 1)])
    return file.getvalue()


def test_a_line_for_every_tenth_with_rate_and_time_left(clock: list[float]) -> None:
    lines = said(clock, n_known=0, step_s=1.0).splitlines()
    assert len(lines) == 10
    assert lines[0] == "4 of 40 points, 2.00 points/s, about 18.0 s left"
    assert lines[-1] == "40 of 40 points, 2.00 points/s, 20.0 s"


def test_what_was_there_before_does_not_count_as_fast(clock: list[float]) -> None:
    lines = said(clock, n_known=36, step_s=4.0).splitlines()
    assert lines == ["36 of 40 points are there already", "40 of 40 points, 2.00 s a point, 8.00 s"]


def test_a_short_sweep_says_one_line(clock: list[float]) -> None:
    assert said(clock, n_known=0, step_s=0.01) == "40 of 40 points, 200 points/s, 200 ms\n"


def test_a_terminal_has_a_bar_and_keeps_the_last_line(clock: list[float]) -> None:
    printed = said(clock, n_known=0, step_s=0.5, is_terminal=True)
    assert "of 40 points" in printed
    assert "━" in printed
    last = printed.splitlines()[-1]
    assert last.endswith("40 points, 4.00 points/s, 10.0 s")
