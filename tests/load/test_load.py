"""Time and memory of the largest jobs: how they grow, held by few sizes here and by three decades in the campaign."""

from pathlib import Path

import pytest

from tests.campaigns import RecordFigures
from tests.load.made import write_long_run, write_runs, write_tokens, write_trillion
from tests.load.measured import Took, figures, grows_as_n_log_n, took
from tests.schedule.test_step_size import run_of
from wse_sim.report import trace
from wse_sim.report.html import render_run_report
from wse_sim.report.trace import TraceExtent, trace_text
from wse_sim.simulation import simulate

MIB = 2**20
SWEEP = ("sweep", "--model", "13b", "--system", "cs3", "--engine", "closed-form", "--out", "table.csv.gz")


def swept(folder: Path, n_densities: int, n_systems: int, n_batches: int) -> Took:
    folder.mkdir()
    lists = {
        "--density": ",".join(f"{number / 1000:g}" for number in range(1, n_densities + 1)),
        "--num-csx": ",".join(map(str, range(1, n_systems + 1))),
        "--batch-size": ",".join(str(960 * number) for number in range(1, n_batches + 1)),
    }
    return took(folder, *SWEEP, *(word for pair in lists.items() for word in pair))


def test_a_sweep_ten_times_as_long_takes_no_more_memory(tmp_path: Path) -> None:
    small, large = swept(tmp_path / "small", 4, 10, 50), swept(tmp_path / "large", 4, 50, 100)
    assert large.peak_bytes < small.peak_bytes + 40 * MIB  # 18,000 rows of about 2 KB each were 36 MiB as objects


def test_a_report_of_many_rows_is_small(tmp_path: Path) -> None:
    """Every row has a validation loss, which is the most that there can be of them."""
    write_long_run(tmp_path / "run", 20_000)
    assert len(render_run_report(tmp_path / "run")) < 3_000_000


def test_a_trace_too_large_is_not_drawn_with_all_its_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = trace._drawn

    def seen(simulated, of_steps, detail):  # type: ignore[no-untyped-def]
        drawn.append(detail)
        return draw(simulated, of_steps, detail)

    monkeypatch.setattr(trace, "_drawn", seen)
    trace_text(simulate(run_of("4 40 0")), TraceExtent(max_bytes=400_000))
    assert {detail.n_systems for detail in drawn} == {1}


# ---- the campaign ----------------------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_a_step_of_a_trillion_parameters(tmp_path: Path, record_figures: RecordFigures) -> None:
    write_trillion(tmp_path)
    words = ("simulate", "--model", "./1t.toml", "--system", "./large.toml", "--no-failures")
    found = {n: took(tmp_path, *words, "--num-csx", str(n), "--batch-size", str(4 * n)) for n in (10, 100, 1000)}
    record_figures("load", figures("systems", found))
    assert grows_as_n_log_n(found)


@pytest.mark.campaign
def test_a_run_with_failures(tmp_path: Path, record_figures: RecordFigures) -> None:
    words = ("simulate", "--model", "13b", "--system", "cs3", "--num-csx", "4", "--batch-size", "1080")
    found = {
        n: took(tmp_path, *words, "--system-mtbf", "30d", "--tokens", str(n * 1080 * 2048))
        for n in (2_000, 20_000, 200_000)
    }
    record_figures("load", figures("steps", found))
    assert grows_as_n_log_n(found)


@pytest.mark.campaign
def test_a_sweep_into_a_table(tmp_path: Path, record_figures: RecordFigures) -> None:
    shapes = {10_000: (10, 10, 100), 100_000: (100, 10, 100), 1_000_000: (100, 100, 100)}
    found = {n: swept(tmp_path / str(n), *shape) for n, shape in shapes.items()}
    record_figures("load", figures("configurations", found))
    assert grows_as_n_log_n(found)
    assert found[1_000_000].peak_bytes < found[100_000].peak_bytes + 60 * MIB


@pytest.mark.campaign
def test_a_file_of_tokens(tmp_path: Path, record_figures: RecordFigures, model: str) -> None:
    found = {}
    for megabytes in (100, 1_000, 10_000):
        data = tmp_path / f"{megabytes}.bin"
        write_tokens(data, megabytes * 10**6)
        words = ("--mode", "dense", "--steps", "20", "--batch-size", "8")
        found[megabytes] = took(tmp_path, "train", "--model", model, "--data", data, "--out", f"r{megabytes}", *words)
        data.unlink()
    record_figures("load", figures("MB", found))
    assert grows_as_n_log_n(found)
    assert found[10_000].peak_bytes < 1.05 * found[100].peak_bytes


@pytest.mark.campaign
def test_a_report_of_a_run(tmp_path: Path, record_figures: RecordFigures) -> None:
    found, pages = {}, {}
    for n in (1_000, 10_000, 100_000):
        run = tmp_path / str(n)
        write_long_run(run, n)
        found[n] = took(tmp_path, "report", run)
        pages[f"page of {n:,} points"] = f"{(run / 'report.html').stat().st_size / 1e6:.2f} MB"
    record_figures("load", figures("points", found) | pages)
    assert grows_as_n_log_n(found)
    assert (run / "report.html").stat().st_size <= 3_000_000


@pytest.mark.campaign
def test_a_report_of_several_runs(tmp_path: Path, record_figures: RecordFigures) -> None:
    found = {}
    for n in (5, 16, 50):
        write_runs(tmp_path / str(n), n)
        found[n] = took(tmp_path, "report", tmp_path / str(n))
    size = (tmp_path / "50" / "report.html").stat().st_size
    record_figures("load", figures("runs of 2,000 points", found) | {"page of 50 runs": f"{size / 1e6:.2f} MB"})
    assert grows_as_n_log_n(found)
    assert size <= 3_000_000


@pytest.mark.campaign
def test_a_trace_of_three_steps(tmp_path: Path, record_figures: RecordFigures) -> None:
    words = ("simulate", "--model", "111m", "--system", "cs3", "--num-csx", "4", "--microbatch", "1")
    words += ("--trace", "trace.json", "--trace-steps", "3")
    found = {n: took(tmp_path, *words, "--batch-size", str(4 * n)) for n in (32, 128, 512)}
    record_figures("load", figures("micro-batches on each of 4 systems", found))
    assert grows_as_n_log_n(found)
