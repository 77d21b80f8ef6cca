"""How far long work is, on a terminal and elsewhere."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
import pytest

from wse_sim.cli import progress as module
from wse_sim.cli.progress import BYTES, Meter, Pace, progress
from wse_sim.cli.terminal import set_loudness


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that it is, to be changed."""
    now_s = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now_s[0])
    return now_s


@contextmanager
def shown(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, items: str = "items", after_s: float = 0.0
) -> Iterator[Meter]:
    monkeypatch.setattr(sys, "stderr", stream)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress(items, after_s=after_s) as meter:
        yield meter


def lines(monkeypatch: pytest.MonkeyPatch, clock: list[float], *, n_known: int, step_s: float) -> list[str]:
    """What is printed of 40 points that come two at a time."""
    stream = io.StringIO()
    with shown(monkeypatch, stream) as watch:
        watch.begin(40, "points", n_known=n_known)
        for _ in range(n_known, 40, 2):
            clock[0] += step_s
            watch.came(2)
    return stream.getvalue().splitlines()


def test_a_line_every_few_seconds_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    said = lines(monkeypatch, clock, n_known=0, step_s=1.0)
    assert said == [
        "10/40 points  2.00/s  left 15.0 s",
        "20/40 points  2.00/s  left 10.0 s",
        "30/40 points  2.00/s  left 5.00 s",
        "40/40 points  2.00/s  took 20.0 s",
    ]


def test_what_was_there_before_does_not_count_as_fast(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    said = lines(monkeypatch, clock, n_known=36, step_s=4.0)
    assert said == ["36 of 40 points are there already", "40/40 points  2.00 s each  took 8.00 s"]


def test_a_short_sweep_says_one_line(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    assert lines(monkeypatch, clock, n_known=0, step_s=0.01) == ["40/40 points  200/s  took 200 ms"]


def test_time_left_goes_by_work_where_items_differ(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = io.StringIO()
    with shown(monkeypatch, stream) as watch:
        watch.begin(4, "runs", work=100.0)
        clock[0] = 10.0
        watch.came(work=10.0, note="1 diverged")
    assert stream.getvalue() == "1/4 runs, 1 diverged  10.0 s each  left 1.50 min\n"


def test_bytes_are_sizes(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = io.StringIO()
    with shown(monkeypatch, stream, BYTES) as meter:
        meter.update(0, 4e9)
        clock[0] = 20.0
        meter.update(1e9, 4e9)
    assert stream.getvalue() == "1.00 GB/4.00 GB  50.0 MB/s  left 1.00 min\n"


def test_what_had_come_when_work_is_first_heard_of_took_time(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = io.StringIO()
    with shown(monkeypatch, stream, BYTES) as meter:
        clock[0] = 10.0
        meter.update(1e9, 4e9, "reading")
        clock[0] = 20.0
        meter.update(2e9, 2e9, "tokenizing")
    assert stream.getvalue().splitlines() == [
        "1.00 GB/4.00 GB, reading  100 MB/s  left 30.0 s",
        "2.00 GB/2.00 GB, tokenizing  200 MB/s  took 10.0 s",
    ]


def test_work_that_is_done_in_a_moment_may_say_nothing(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = io.StringIO()
    with shown(monkeypatch, stream, after_s=2.0) as watch:
        watch.begin(2, "steps")
        clock[0] = 1.0
        watch.came(2)
    assert stream.getvalue() == ""


def test_a_terminal_has_a_bar_and_keeps_the_last_line(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = Screen()
    with shown(monkeypatch, stream) as watch:
        watch.begin(40, "points")
        for _ in range(20):
            clock[0] += 0.5
            watch.came(2)
    printed = stream.getvalue()
    assert "━" in printed
    assert printed.endswith("40/40 points  4.00/s  took 10.0 s\n")
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") > 0  # the cursor is there again


def test_a_bar_that_is_interrupted_leaves_the_cursor_and_what_came(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = Screen()
    with suppress(KeyboardInterrupt), shown(monkeypatch, stream) as watch:
        watch.begin(4, "points")
        clock[0] = 1.0
        watch.came()
        raise KeyboardInterrupt
    assert stream.getvalue().rstrip().splitlines()[-1].endswith("1/4 points  1.00/s  left 3.00 s")
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = io.StringIO()
    with click.Context(click.Command("any")) as context:
        set_loudness(context, "quiet")
        with shown(monkeypatch, stream) as watch:
            watch.begin(1, "points")
            clock[0] = 60.0
            watch.came()
            watch.update(1, 2)
            watch.say("a note")
    assert stream.getvalue() == ""


def test_a_rate_is_that_of_the_last_seconds_and_in_the_end_of_all(clock: list[float]) -> None:
    pace = Pace(100.0, window_s=5.0)
    for at, done in ((1.0, 1.0), (2.0, 2.0), (10.0, 18.0), (11.0, 20.0)):
        clock[0] = at
        pace.reach(done)
    assert pace.rate == 2.0
    assert pace.left_s == 40.0
    clock[0] = 21.0
    assert pace.left_s == 30.0  # time goes by where nothing comes
    pace.reach(100.0)
    assert pace.left_s == 0.0
    assert pace.rate == pytest.approx(100 / 21)
