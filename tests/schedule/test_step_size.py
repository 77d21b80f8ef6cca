"""What a step's program takes of memory is known before it is built, and refused where it is not free."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from tests.campaigns import RecordFigures
from tests.engine.clusters import random_configuration
from tests.engine.programs import chain
from wse_sim.engine.run import finish_times
from wse_sim.errors import SpecError
from wse_sim.processes import limits, memory
from wse_sim.report.trace import chrome_trace
from wse_sim.schedule.step_size import StepSize
from wse_sim.schedule.weight_streaming import fitted, plan_step, step_size
from wse_sim.simulation import simulate
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run

SIMULATE = """
import sys
from pathlib import Path
from tests.schedule.test_step_size import run_of, size_of
from wse_sim.report.trace import bytes_to_draw, chrome_trace
from wse_sim.report.trace_window import TraceSteps, window
from wse_sim.simulation import simulate


def peak():  # getrusage would have that of the process that started this one, as long as it is more
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])

words, engine, with_trace = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
simulated = simulate(run_of("2 1 0.1"), engine=engine)  # what is loaded and compiled once
chrome_trace(simulated)
before = peak()
run = run_of(words)
simulated = simulate(run, engine=engine)
estimate = size_of(run, simulated.plan.program.n_tiles).n_bytes
if engine == "reference":
    estimate = 400 * simulated.plan.program.n_tasks
if with_trace:
    chrome_trace(simulated)
    estimate += bytes_to_draw(window(simulated, TraceSteps()))
print((peak() - before) * 1024, int(estimate))
"""


def run_of(words: str) -> Run:
    """A run by its systems, micro-batches and jitter."""
    num_csx, n_microbatches, jitter = (float(word) for word in words.split())
    return Run(
        shape=load_model("111m").shape,
        system="cs3",
        num_csx=int(num_csx),
        batch_size=int(num_csx * n_microbatches),
        microbatch=1,
        seq_len=2048,
        tokens=1e12,
        jitter=jitter,
    )


def size_of(run: Run, n_tiles: int) -> StepSize:
    cluster = load_cluster(run.system, run.num_csx)
    microbatch, placement = fitted(run, cluster)
    return step_size(run, cluster, placement, run.batch_per_csx // microbatch, n_tiles, is_recorded=True)


def measured(words: str, engine: str, *, with_trace: bool = False) -> tuple[int, int]:
    """Bytes by which the memory of a process grows at its peak, and the bytes that were expected."""
    found = subprocess.run(
        [sys.executable, "-c", SIMULATE, words, engine, str(with_trace)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, estimate = map(int, found.stdout.split())
    return peak, estimate


def test_tasks_are_counted_before_there_is_a_program() -> None:
    for seed in range(100):
        try:
            configuration = random_configuration(seed)
            run, cluster = configuration.run, configuration.cluster()
            plan = plan_step(run, cluster, masks=configuration.masks)
        except SpecError:
            continue
        size = step_size(
            run,
            cluster,
            plan.placement,
            plan.program.n_microbatches,
            plan.program.n_tiles,
            is_recorded=True,
        )
        assert (size.n_tasks, size.n_passes) == (plan.program.n_tasks, plan.program.n_passes)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is asked for as Linux gives it")
def test_a_recorded_step_takes_no_more_memory_than_was_expected() -> None:
    peak, estimate = measured("64 150 0", "max-plus")
    assert peak > 2e8
    assert estimate / 3 < peak < estimate  # of a small step what is touched is less than what is asked for


@pytest.mark.campaign
def test_memory_that_is_expected_and_memory_that_is_taken(record_figures: RecordFigures) -> None:
    figures = {}
    for words, engine, with_trace in (
        ("512 100 0", "max-plus", False),
        ("1 50000 0", "max-plus", False),
        ("2000 2 0.1", "max-plus", False),
        ("8 200 0.1", "des", False),
        ("64 150 0", "des", False),
        ("4 400 0", "max-plus", True),
        ("1 1500 0", "max-plus", True),
        ("4 60 0", "reference", False),
    ):
        peak, estimate = measured(words, engine, with_trace=with_trace)
        num_csx, n_microbatches, jitter = words.split()
        what = f"{engine}, {num_csx} systems, {n_microbatches} micro-batches{', jitter' if float(jitter) else ''}"
        figures[what + with_trace * ", trace"] = f"{peak / 1e9:.3g} GB at the peak, {estimate / 1e9:.3g} GB expected"
        assert peak < estimate, figures
    record_figures("engine", figures)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_gb_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**9)


@pytest.mark.usefixtures("one_gb_free")
def test_a_step_that_does_not_fit_is_refused_with_what_would() -> None:
    cluster = load_cluster("cs3", 2000)
    run = run_of("2000 100 0")
    with pytest.raises(SpecError, match=r"micro-batches 100\) takes 1\d\.\d GB of memory, and 1 GB are free: at most"):
        plan_step(run, cluster, is_recorded=True)
    plan_step(run, cluster)  # only the ends of its steps are asked for
    size = size_of(run, 24)
    fitting = size._fitting(10**9).replace(",", "").split()
    n_systems, n_microbatches = int(fitting[3]), int(fitting[5])
    assert fitting[2] == "num_csx"
    for changed, is_right in (
        (dataclasses.replace(size, n_systems=n_systems), True),
        (dataclasses.replace(size, n_systems=n_systems + 1), False),
        (dataclasses.replace(size, n_microbatches=n_microbatches), True),
        (dataclasses.replace(size, n_microbatches=n_microbatches + 1), False),
    ):
        assert (changed.n_bytes <= 10**9) == is_right


def test_a_model_too_deep_is_refused_with_the_layers_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ALWAYS_THERE", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**8)
    shape = replace(load_model("111m").shape, n_layers=10**4, d_model=64, n_heads=1, d_ff=64)
    run = replace(run_of("1 1 0"), shape=shape, seq_len=128)
    with pytest.raises(SpecError, match=r"n_layers 10,000, micro-batches 1\) takes .*: at most n_layers [\d,]+ "):
        plan_step(run, load_cluster("cs3", 1), is_recorded=True)


@pytest.mark.usefixtures("one_gb_free")
def test_jitter_that_does_not_fit_is_refused_even_where_only_ends_are_asked_for() -> None:
    with pytest.raises(SpecError, match=r"micro-batches 1,000, jitter\) takes .* GB of memory"):
        plan_step(run_of("1000 1000 0.1"), load_cluster("cs3", 1000))


@pytest.mark.usefixtures("one_gb_free")
def test_the_reference_engine_refuses_what_the_others_take() -> None:
    with pytest.raises(SpecError, match=r"tasks in the engine reference take .* at most 2,500,000 .* max-plus or des"):
        simulate(run_of("4 1000 0"), engine="reference")
    program = chain(n_tiles=100_000, n_steps=300)
    with pytest.raises(SpecError, match=r"engine des take 1\.\d+ GB of memory, and 1 GB are free: at most"):
        finish_times(program, "des")


def test_a_trace_that_does_not_fit_is_refused_with_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = simulate(run_of("4 40 0"))
    monkeypatch.setattr(memory, "_ALWAYS_THERE", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**7)
    with pytest.raises(SpecError, match=r"a trace of 40 micro-batches takes .* one step of at most \d+ micro-batches"):
        chrome_trace(simulated)


def test_free_memory_is_what_machine_container_and_process_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < memory.free_bytes() <= psutil.virtual_memory().total
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    for name, content in {"max": "3000", "current": "2500", "stat": "anon 1500\ninactive_file 800\n"}.items():
        (tmp_path / f"memory.{name}").write_text(content, encoding="utf-8")
    assert memory.free_bytes() == 3000 - 2500 + 800
    (tmp_path / "memory.max").write_text("max", encoding="utf-8")
    assert memory.free_bytes() > 10**6


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits of a process, as Linux has them")
def test_a_limit_of_the_process_counts_too() -> None:
    code = (
        "import resource, psutil, numpy\n"
        "used = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, -1))\n"
        "from wse_sim.processes.memory import free_bytes\n"
        "print(free_bytes())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) <= 10**8
