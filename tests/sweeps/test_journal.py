"""A table is there whole and in order, or its rows are in a journal that the same sweep goes on with."""

import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.errors import FileError, SpecError
from wse_sim.sweeps.journal import Journal
from wse_sim.sweeps.run import best_first, run_sweep
from wse_sim.sweeps.sweep import Evaluate, Row, Sweep
from wse_sim.sweeps.table import read_table, write_table

N = 6
SWEEP = Sweep(
    kind="simulated",
    points=tuple({"model": "111m", "num_csx": n} for n in range(N)),
    results=("speed", "word", "cost_usd"),
)
ROWS = [Row(n, results={"speed": 1.0 / (n + 1), "word": f"a, {n}", "cost_usd": n % 3}) for n in range(N - 1)]
ROWS.append(Row(N - 1, "infeasible", 'it says: "no"\nand means it'))
SUFFIXES = (".csv", ".csv.gz", ".jsonl")


def backwards(asked: list[int] | None = None) -> Evaluate:
    """Works out the last point first, two at a time; `asked` gets the indices of all."""

    def evaluate(todo):  # type: ignore[no-untyped-def]
        order = sorted(todo, reverse=True)
        if asked is not None:
            asked.extend(order)
        for first in range(0, len(order), 2):
            yield [ROWS[index] for index in order[first : first + 2]]

    return evaluate


def stopped_after(n: int) -> Evaluate:
    """Is stopped by the user after `n` points."""

    def evaluate(todo):  # type: ignore[no-untyped-def]
        yield [ROWS[index] for index in sorted(todo, reverse=True)[:n]]
        raise KeyboardInterrupt

    return evaluate


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_back_in_order_and_as_they_were(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"sweep{suffix}"
    assert run_sweep(SWEEP, backwards(), out) == ROWS
    asked: list[int] = []
    again = run_sweep(SWEEP, backwards(asked), out)
    assert [SWEEP.cells(row) for row in again] == [SWEEP.cells(row) for row in ROWS]
    assert not asked
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.sweep.json"]


@given(
    values=st.lists(
        st.one_of(st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_numbers_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None], suffix: str
) -> None:
    sweep = Sweep(kind="simulated", points=tuple({"model": "111m"} for _ in values), results=("x",))
    rows = [Row(index, results={"x": value}) for index, value in enumerate(values)]
    path = tmp_path_factory.mktemp("table") / f"table{suffix}"
    write_table(path, sweep, rows)
    assert list(read_table(path, sweep)) == rows


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n_before", range(N))
def test_stopped_sweep_goes_on_with_what_is_missing_to_the_same_bytes(
    tmp_path: Path, suffix: str, n_before: int
) -> None:
    straight, out = tmp_path / f"straight{suffix}", tmp_path / f"sweep{suffix}"
    run_sweep(SWEEP, backwards(), straight)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(SWEEP, stopped_after(n_before), out)
    assert not out.exists()
    asked: list[int] = []
    run_sweep(SWEEP, backwards(asked), out)
    assert asked == list(range(N - n_before))[::-1]
    assert out.read_bytes() == straight.read_bytes()


def test_row_cut_short_by_a_crash_is_worked_out_again(tmp_path: Path) -> None:
    out, part = tmp_path / "sweep.csv", tmp_path / "sweep.csv.part"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(SWEEP, stopped_after(4), out)
    part.write_bytes(part.read_bytes()[:-5])
    asked: list[int] = []
    assert run_sweep(SWEEP, backwards(asked), out) == ROWS
    assert asked == [2, 1, 0]


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """The system refuses what is longer, after it has taken what fits: as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [1, 60, 150, 300, 450])
def test_rows_that_the_disk_has_no_room_for_are_told_and_worked_out_again(tmp_path: Path, n_bytes: int) -> None:
    out, straight = tmp_path / "sweep.csv", tmp_path / "straight.csv"
    run_sweep(SWEEP, backwards(), straight)
    with closing(Journal(SWEEP, out)):
        pass
    message = r"sweep\.csv\.part: cannot be written: File too large; rows before this one are kept"
    with files_of_at_most(n_bytes), pytest.raises(FileError, match=message):
        run_sweep(SWEEP, backwards(), out)
    asked: list[int] = []
    run_sweep(SWEEP, backwards(asked), out)
    assert asked == sorted(asked, reverse=True)
    assert out.read_bytes() == straight.read_bytes()


def test_table_that_the_disk_has_no_room_for_is_written_by_the_same_command_later(tmp_path: Path) -> None:
    out, straight = tmp_path / "sweep.csv.gz", tmp_path / "straight.csv.gz"
    run_sweep(SWEEP, backwards(), straight)
    with closing(Journal(SWEEP, out)) as journal:
        journal.append(ROWS)
    with files_of_at_most(100), pytest.raises(FileError, match=r"sweep\.csv\.gz: cannot be written: File too large"):
        run_sweep(SWEEP, backwards(), out)
    assert sorted(path.name for path in tmp_path.glob("*sweep.csv*")) == [
        *("sweep.csv.gz.part", "sweep.csv.gz.sweep.json")
    ]
    asked: list[int] = []
    run_sweep(SWEEP, backwards(asked), out)
    assert not asked
    assert out.read_bytes() == straight.read_bytes()


def test_what_a_killed_sweep_left_half_written_is_gone_once_the_table_is_there(tmp_path: Path) -> None:
    """Killed as it wrote the table, and after that but before it removed the journal; a live process's file stays."""
    out, part = tmp_path / "sweep.csv", tmp_path / "sweep.csv.part"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    torn, alive = (tmp_path / f".sweep.csv.{pid}.part" for pid in (gone.pid, os.getppid()))
    torn.touch()
    alive.touch()
    run_sweep(SWEEP, backwards(), out)
    assert not torn.exists()
    part.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in ROWS))
    assert run_sweep(SWEEP, backwards(), out)
    assert {path.name for path in tmp_path.iterdir()} == {out.name, alive.name, f"{out.name}.sweep.json"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": SWEEP.points[:-1]}, "belongs to another sweep, of 6 points over model, num_csx"),
        ({"points": ({"model": "111m", "num_csx": 9}, *SWEEP.points[1:])}, "its values, models or constants are not"),
        ({"results": ("speed", "word")}, "its values, models or constants are not"),
        ({"kind": "measured"}, "its values, models or constants are not"),
    ],
)
@pytest.mark.parametrize("is_stopped", [True, False])
def test_table_of_another_sweep_is_refused_and_kept(
    tmp_path: Path, changes: dict[str, object], message: str, is_stopped: bool
) -> None:
    out = tmp_path / "sweep.csv"
    if is_stopped:
        with pytest.raises(KeyboardInterrupt):
            run_sweep(SWEEP, stopped_after(2), out)
    else:
        run_sweep(SWEEP, backwards(), out)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = Sweep(**{"kind": SWEEP.kind, "points": SWEEP.points, "results": SWEEP.results, **changes})  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=message):
        run_sweep(other, backwards(), out)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wse_sim.sweeps.sweep.__version__", "0.0.1")
    monkeypatch.setattr("wse_sim.sweeps.journal.__version__", "0.0.1")
    other = Sweep(kind=SWEEP.kind, points=SWEEP.points, results=SWEEP.results)
    run_sweep(other, backwards(), tmp_path / "sweep.csv")
    monkeypatch.undo()
    with pytest.raises(SpecError, match=r"was begun by version 0\.0\.1 of this program"):
        run_sweep(SWEEP, backwards(), tmp_path / "sweep.csv")


def test_file_that_no_sweep_has_written_is_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "sweep.csv"
    out.write_text("mine")
    with pytest.raises(SpecError, match="is there already, and no sweep has written it"):
        run_sweep(SWEEP, backwards(), out)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cut", [0, 20, -30])
def test_table_that_was_cut_is_refused(tmp_path: Path, suffix: str, cut: int) -> None:
    out = tmp_path / f"sweep{suffix}"
    run_sweep(SWEEP, backwards(), out)
    out.write_bytes(out.read_bytes()[:cut])
    with pytest.raises(SpecError, match="is not as the sweep left it; remove it"):
        run_sweep(SWEEP, backwards(), out)


@pytest.mark.parametrize(("old", "new"), [(b"num_csx", b"systems"), (b",ok,", b",fine,"), (b"ok,\n", b"ok,,\n")])
def test_table_that_was_changed_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    out = tmp_path / "sweep.csv"
    run_sweep(SWEEP, backwards(), out)
    out.write_bytes(out.read_bytes().replace(old, new))
    with pytest.raises(SpecError, match="is not as the sweep left it; remove it"):
        run_sweep(SWEEP, backwards(), out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pipe_in_the_place_of_a_table_is_refused_and_not_waited_for(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"sweep{suffix}"
    run_sweep(SWEEP, backwards(), out)
    out.unlink()
    os.mkfifo(out)
    with pytest.raises(SpecError, match="is not as the sweep left it; remove it"):
        run_sweep(SWEEP, backwards(), out)


FLIPPED = (b'{"index": 2, "resultt": {}}', b'{"index": 2, "reason": "\xff"}')


@pytest.mark.parametrize("line", [b"no row", msgspec.json.encode(Row(N)), *FLIPPED])
def test_journal_with_a_line_that_is_no_row_is_refused(tmp_path: Path, line: bytes) -> None:
    with closing(Journal(SWEEP, tmp_path / "sweep.csv")) as journal:
        journal.append(ROWS[:2])
    part = tmp_path / "sweep.csv.part"
    part.write_bytes(part.read_bytes() + line + b"\n")
    with pytest.raises(SpecError, match=r"sweep\.csv\.part: line 3 is no row of this sweep"):
        Journal(SWEEP, tmp_path / "sweep.csv")


def test_second_process_is_refused(tmp_path: Path) -> None:
    with (
        closing(Journal(SWEEP, tmp_path / "sweep.csv")),
        (tmp_path / "sweep.csv.part").open("rb") as file,
        pytest.raises(OSError, match="unavailable"),
    ):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with closing(Journal(SWEEP, tmp_path / "sweep.csv")), pytest.raises(SpecError, match="another process works on"):
        Journal(SWEEP, tmp_path / "sweep.csv")


@pytest.mark.parametrize("name", ["sweep", "sweep.txt", "sweep.gz", "sweep.jsonl.gz"])
def test_other_suffixes_are_refused_before_anything_is_worked_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"a table ends in \.csv, \.csv\.gz, \.jsonl"):
        run_sweep(SWEEP, backwards(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_best_is_most_of_rates_and_least_of_costs_and_equals_keep_their_order() -> None:
    assert [row.index for row in best_first(SWEEP, ROWS, "speed")] == [0, 1, 2, 3, 4]
    assert [row.index for row in best_first(SWEEP, ROWS, "num_csx")] == [5, 4, 3, 2, 1, 0]
    assert [row.index for row in best_first(SWEEP, ROWS, "cost_usd")] == [0, 3, 1, 4, 2]
    assert not best_first(SWEEP, ROWS, "word")
    with pytest.raises(SpecError, match="unknown field to sort by 'sped': did you mean 'speed'"):
        best_first(SWEEP, ROWS, "sped")
