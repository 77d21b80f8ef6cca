"""Campaigns: every case of bad input in a process of its own, and every reader under a fuzzer."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path

import pytest

from tests.bad_input.a_run import finished
from tests.bad_input.case import require_refused, tree
from tests.bad_input.cases import CASES
from tests.bad_input.corpus import kept
from tests.bad_input.harnesses import HARNESSES
from tests.bad_input.process import Ended, run_command
from tests.campaigns import RecordFigures
from wse_sim.processes.limits import n_usable_cpus

_MOST_S, _MOST_BYTES = 5.0, 10**9
_SECTION = "bad_input"
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, in which this machine has been measured and the engines are compiled, as after a first run."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    for mode in ("dense", "full"):
        finished(mode)
    (folder / "wse-sim" / "tokens").mkdir()  # as once text has been prepared; locks come there too
    return folder


@pytest.mark.campaign
def test_every_bad_input_is_refused_in_5_s_and_1_gb(cache: Path, tmp_path: Path, record_figures: RecordFigures) -> None:
    def ended(number: int, attempt: str) -> tuple[Ended, str]:
        case, folder = CASES[number], tmp_path / f"{number}-{attempt}"
        own_cache = shutil.copytree(cache, tmp_path / f"{number}-{attempt}-cache")
        folder.mkdir()
        case.make(folder)
        before = tree(folder), tree(own_cache)
        end = run_command(case.words, folder, own_cache)
        try:
            require_refused(case, end.exit_code, end.stdout, end.stderr)
            assert (tree(folder), tree(own_cache)) == before, "something was written"
            assert end.cpu_s < _MOST_S, f"took {end.cpu_s:.1f} s"
            assert end.rss_bytes < _MOST_BYTES, f"took {end.rss_bytes:,} bytes"
        except AssertionError as error:
            print(f"{case}: {error}")  # long before the end
            return end, f"{case}: {error}"
        return end, ""

    with ThreadPoolExecutor(n_usable_cpus()) as threads:
        found = list(threads.map(ended, range(len(CASES)), repeat("beside others")))
    # Processes side by side slow each other down: who took too long is timed without others.
    for number in [number for number, (end, _) in enumerate(found) if end.cpu_s >= _MOST_S]:
        found[number] = ended(number, "alone")
    wrong = [what for _, what in found if what]
    ends: dict[str, list[Ended]] = defaultdict(list)
    for case, (end, _) in zip(CASES, found, strict=True):
        ends[case.group].append(end)
    assert not wrong, f"{len(wrong)} of {len(CASES)}:\n" + "\n".join(wrong)
    everything = [end for of_group in ends.values() for end in of_group]
    record_figures(_SECTION, {"all": _said(everything)} | {group: _said(of_group) for group, of_group in ends.items()})


def _said(ends: list[Ended]) -> str:
    slowest_s, largest_bytes = max(end.cpu_s for end in ends), max(end.rss_bytes for end in ends)
    return f"{len(ends):,} cases, slowest {slowest_s:.1f} s, largest {largest_bytes / 1e6:.0f} MB"


@pytest.mark.campaign
def test_no_reader_breaks_under_a_fuzzer(record_figures: RecordFigures) -> None:
    assert find_spec("atheris"), "atheris is not installed: pip install '.[fuzz]'"
    figures = {}
    total = 0
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
        total += n_runs
        figures[name] = f"{n_runs:,} executions, {len(kept(name))} inputs kept"
    record_figures(_SECTION, {"all": f"{total:,} executions of {len(HARNESSES)} readers"} | figures)
