"""Sweeps that are disturbed at random: their programs and workers are killed on the way to the table."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from wse_sim.sweeps.sweep import Row

Fault = Literal["kill", "ctrl-c", "kill a worker"]

_WORKER = "wse_sim.processes.worker"
_LONGEST_S = 1800.0
_WORKERS_KILLED_AT_MOST = 2  # in one go: at the third loss a point is given up
_STARTING = 0.2  # share of the faults that come before the first row


@dataclass(kw_only=True)
class Disturbed:
    """What was done to sweeps on the way to their tables, and what came of it.

    Parameters
    ----------
    n_lost, n_doubled :
        Rows that were on the disk after one fault and not, or changed, after the next; that were there twice.
    n_alive :
        Workers that were still there when the table was.
    """

    n_faults: dict[Fault, int] = field(default_factory=lambda: {"kill": 0, "ctrl-c": 0, "kill a worker": 0})
    n_starts: int = 0
    n_lost: int = 0
    n_doubled: int = 0
    n_alive: int = 0


def words_of(out: Path, words: Sequence[str]) -> list[str]:
    """The command of a sweep."""
    return [sys.executable, "-m", "wse_sim", "sweep", *words, "--out", str(out)]


def straight(out: Path, words: Sequence[str]) -> float:
    """The seconds that the same sweep takes with one worker, when nothing disturbs it."""
    began_s = time.monotonic()
    subprocess.run([*words_of(out, words), "--processes", "1"], check=True, capture_output=True)
    return time.monotonic() - began_s


def disturb(
    so_far: Disturbed, out: Path, table: Path, words: Sequence[str], faults: Sequence[Fault], draw: random.Random
) -> None:
    """Start a sweep, disturb it, start it again at once, and let it go to its end after the last fault.

    Parameters
    ----------
    table :
        Which `out` comes to, beside its journal.
    """
    rows, workers = dict[int, bytes](), list[psutil.Process]()
    for fault in [*faults, None]:
        so_far.n_starts += 1
        process = subprocess.Popen(words_of(out, words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            if fault is not None:
                so_far.n_faults[fault] += _disturbed(process, fault, _moment(draw, table, len(rows)), workers)
            _, said = process.communicate(timeout=_LONGEST_S)
        finally:
            process.kill()
        _require_silence(process.returncode, fault, said)
        there = list(_lines(table))
        if table.exists():
            break
        so_far.n_doubled += len(there) - len(dict(there))
        so_far.n_lost += sum(dict(there).get(index) != line for index, line in rows.items())
        rows = dict(there)
    so_far.n_alive += len(psutil.wait_procs(workers, timeout=20.0)[1])


def _require_silence(code: int, fault: Fault | None, said: str) -> None:
    """No program may end with a traceback, or in another way than it was told to."""
    if fault == "ctrl-c" and code in (1, -signal.SIGINT):  # as it was importing, before it could hear
        assert "KeyboardInterrupt" in said, said
        return
    codes = {"kill": (0, -signal.SIGKILL), "ctrl-c": (0, 130), "kill a worker": (0,), None: (0,)}[fault]
    assert code in codes, f"{fault}: code {code}: {said}"
    assert "Traceback" not in said, said


def _moment(draw: random.Random, table: Path, n_rows: int) -> Callable[[], bool]:
    """A claim that comes true at a random time: before the first new row, or a little after it."""
    began_s, is_early = time.monotonic(), draw.random() < _STARTING
    after_s, seen_s = draw.uniform(0.0, 2.0 if is_early else 0.3), list[float]()

    def has_come() -> bool:
        if not is_early and not seen_s:
            if sum(1 for _ in _lines(table)) <= n_rows:
                return False
            seen_s.append(time.monotonic())
        return time.monotonic() - (began_s if is_early else seen_s[0]) > after_s

    return has_come


def _disturbed(
    process: "subprocess.Popen[str]", fault: Fault, has_come: Callable[[], bool], workers: list[psutil.Process]
) -> int:
    """Do it once the moment has come; how many times it was done."""
    while process.poll() is None and not has_come():
        time.sleep(0.002)
    if process.poll() is not None:
        return 0
    workers += workers_of(process.pid)
    if fault == "kill a worker":
        return sum(_kill_a_worker(process.pid) for _ in range(_WORKERS_KILLED_AT_MOST))
    process.send_signal(signal.SIGKILL if fault == "kill" else signal.SIGINT)
    return 1


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes that a sweep has started."""
    try:
        return [child for child in psutil.Process(pid).children() if _WORKER in child.cmdline()]
    except psutil.Error:
        return []


def _kill_a_worker(pid: int) -> int:
    for worker in workers_of(pid)[:1]:
        worker.kill()
        return 1
    return 0


def _lines(table: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines of the journal of a table, with the index of their points."""
    part = table.with_name(f"{table.name}.part")
    try:
        content = part.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        yield msgspec.json.decode(line, type=Row).index, line
