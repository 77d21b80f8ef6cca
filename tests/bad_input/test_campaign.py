"""Campaigns: every case of bad input in a process of its own, and every reader under a fuzzer."""

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.bad_input.case import Case, require_refused, tree
from tests.bad_input.cases import CASES
from tests.bad_input.fuzz import CORPUS
from tests.bad_input.harnesses import HARNESSES
from tests.bad_input.privilege import give_up_for_good
from tests.campaigns import RecordFigures

_MOST_S, _MOST_BYTES = 5.0, 10**9
_HANGS_S = 60.0
_SECTION = "bad_input"
_ROOT = Path(__file__).parents[2]


@pytest.mark.campaign
def test_every_bad_input_is_refused_within_5_s_and_1_gb(
    cache: Path, tmp_path: Path, record_figures: RecordFigures
) -> None:
    found: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    wrong = []
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        case.make(folder)
        before = tree(folder), tree(cache)
        try:
            took_s, rss_bytes = _refused(case, folder, cache)
            assert (tree(folder), tree(cache)) == before, "something was written"
            assert took_s < _MOST_S, f"took {took_s:.1f} s"
            assert rss_bytes < _MOST_BYTES, f"took {rss_bytes:,} bytes"
            found[case.group].append((took_s, rss_bytes, case.name))
        except AssertionError as error:
            wrong.append(f"{case}: {error}")
    assert not wrong, f"{len(wrong)} of {len(CASES)}:\n" + "\n".join(wrong)
    figures: dict[str, str | int | float] = {"cases": len(CASES)}
    for group, of_group in found.items():
        slowest_s, rss_bytes = max(took_s for took_s, _, _ in of_group), max(rss for _, rss, _ in of_group)
        figures[group] = f"{len(of_group)} cases, slowest {slowest_s:.1f} s, largest {rss_bytes / 1e6:.0f} MB"
    record_figures(_SECTION, figures)


def _refused(case: Case, folder: Path, cache: Path) -> tuple[float, int]:
    """Seconds of the process, and its largest resident set in bytes."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(_ROOT)}
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        began_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "wse_sim", *map(os.fsencode, case.words)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=give_up_for_good,
        )
        while (done := os.wait4(process.pid, os.WNOHANG))[0] == 0 and time.monotonic() - began_s < _HANGS_S:
            time.sleep(0.01)
        took_s = time.monotonic() - began_s
        if done[0] == 0:
            process.kill()
            done = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(done[1])
        stdout.seek(0)
        stderr.seek(0)
        said = [file.read().decode("utf-8", "replace") for file in (stdout, stderr)]
    require_refused(case, process.returncode, *said)
    return took_s, done[2].ru_maxrss * 1024


@pytest.mark.campaign
def test_no_reader_breaks_under_a_fuzzer(record_figures: RecordFigures) -> None:
    assert find_spec("atheris"), "atheris is not installed: pip install '.[fuzz]'"
    figures: dict[str, str | int | float] = {}
    for name, harness in HARNESSES.items():
        done = subprocess.run(
            [sys.executable, "-m", "tests.bad_input.fuzz", name],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert done.returncode == 0, f"{name}:\n{done.stderr[-4000:]}"
        n_runs = int(re.findall(r"stat::number_of_executed_units: *(\d+)", done.stderr)[-1])
        assert n_runs >= harness.n_runs
        figures[name] = f"{n_runs:,} executions, {len(list((CORPUS / name).iterdir()))} files kept"
    record_figures(_SECTION, figures)
