"""Whatever is killed while a sweep runs, its table is the one of an undisturbed sweep: no row lost, none doubled."""

import csv
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.campaigns import RecordFigures
from tests.sweeps.faults import Disturbed, Fault, disturb, straight

# 1,152 points, half of which do not fit: some seconds of work.
SIMULATED = (
    *("--model", "1.3b,6.7b,13b", "--system", "cs3", "--num-csx", "1,2,7,14", "--density", "1,0.5,0.25,0.125"),
    *("--batch-size", "256,512,1024,2048", "--set", "seq_len=1024,1536,2048", "--release", "r1.7,r2"),
)
TRAINED = (
    *("--train", "--batch-size", "4", "--set", "data=markov", "--precision", "fp32", "--mode", "dense"),
    *("--steps", "40", "--tokens", "1e6", "--density", "1,0.5"),
)
FAULTS: Sequence[Fault] = ("kill", "ctrl-c", "kill a worker")


def differing_bytes(here: bytes, there: bytes) -> int:
    """In which two texts differ."""
    return sum(a != b for a, b in zip(here, there, strict=False)) + abs(len(here) - len(there))


def without_clock(table: bytes) -> bytes:
    """A table of trained points without its one column that the clock measures."""
    rows = [dict(row) for row in csv.DictReader(table.decode().splitlines())]
    for row in rows:
        row.pop("measured_host_s")
    return repr(rows).encode()


def folder_of_runs(out: Path) -> dict[str, bytes]:
    """The weights that each run of a sweep ended with."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.glob("*/checkpoints/*.safetensors"))}


def figures(so_far: Disturbed, **more: int) -> Mapping[str, int]:
    """As the page shows them."""
    return {
        "sweeps killed": so_far.n_faults["kill"],
        "sweeps stopped with Ctrl-C": so_far.n_faults["ctrl-c"],
        "workers killed": so_far.n_faults["kill a worker"],
        "starts": so_far.n_starts,
        "rows lost": so_far.n_lost,
        "rows doubled": so_far.n_doubled,
        "workers left behind": so_far.n_alive,
        **{name.replace("_", " "): n for name, n in more.items()},
    }


def simulated(
    tmp_path: Path, words: Sequence[str], rounds: Iterable[Sequence[Fault]], *, n_kills: int
) -> Mapping[str, int]:
    """Disturb one sweep in rounds, until it was killed so often."""
    straight(tmp_path / "straight.csv", words)
    expected = (tmp_path / "straight.csv").read_bytes()
    so_far, n_differing, number = Disturbed(), 0, 0
    for number, faults in enumerate(rounds, start=1):
        out = tmp_path / str(number) / "sweep.csv"
        disturb(so_far, out, out, (*words, "--processes", "2"), faults, drawn(number))
        n_differing += differing_bytes(out.read_bytes(), expected)
        names = sorted(path.name for path in out.parent.iterdir())
        assert names == ["sweep.csv", "sweep.csv.html", "sweep.csv.sweep.json"]
        if so_far.n_faults["kill"] >= n_kills:
            break
    return figures(so_far, rows=number * (expected.count(b"\n") - 1), differing_bytes=n_differing)


def trained(
    tmp_path: Path, words: Sequence[str], rounds: Iterable[Sequence[Fault]], *, n_kills: int
) -> Mapping[str, int]:
    """Disturb one sweep that trains in rounds, until it was killed so often."""
    straight(tmp_path / "straight", words)
    table = without_clock((tmp_path / "straight" / "sweep.csv").read_bytes())
    weights = folder_of_runs(tmp_path / "straight")
    assert weights
    so_far, n_differing, number = Disturbed(), 0, 0
    for number, faults in enumerate(rounds, start=1):
        out = tmp_path / str(number)
        disturb(so_far, out, out / "sweep.csv", (*words, "--processes", "2"), faults, drawn(number))
        n_differing += differing_bytes(without_clock((out / "sweep.csv").read_bytes()), table)
        assert folder_of_runs(out) == weights
        assert not [path.name for path in out.rglob("*.part")]
        if so_far.n_faults["kill"] >= n_kills:
            break
    n_rows = (tmp_path / "straight" / "sweep.csv").read_bytes().count(b"\n") - 1
    return figures(so_far, rows=number * n_rows, differing_bytes=n_differing)


def require_nothing_lost(found: Mapping[str, int]) -> None:
    for name in ("rows lost", "rows doubled", "workers left behind", "differing bytes"):
        assert found[name] == 0, found


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  nothing secret


def drawn_rounds(n_faults: int) -> Iterator[Sequence[Fault]]:
    """Faults at random, most of them kills, without end."""
    draw = drawn(0)
    while True:
        yield draw.choices(FAULTS, weights=(6, 1, 2), k=n_faults)


@pytest.mark.campaign
def test_simulated_sweeps_killed_at_random_points(tmp_path: Path, record_figures: RecordFigures) -> None:
    found = simulated(tmp_path, SIMULATED, drawn_rounds(9), n_kills=60)
    require_nothing_lost(found)
    record_figures("faults_in_sweeps", found)


@pytest.mark.campaign
def test_trained_sweeps_killed_at_random_points(tmp_path: Path, model: str, record_figures: RecordFigures) -> None:
    found = trained(tmp_path, ("--model", model, *TRAINED, "--seed", "0,1,2"), drawn_rounds(6), n_kills=12)
    require_nothing_lost(found)
    record_figures("faults_in_sweeps", found)
