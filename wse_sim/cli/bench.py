"""`wse-sim bench`: how fast the command line and the engines are on this machine."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables

_COMMANDS = (("--help",), ("simulate", "--model", "2.7b", "--density", "0.25", "--json"))


@click.group("bench")
def command() -> None:
    """Measure the command line and the engines on this machine."""


@command.command("cli")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="After one that warms up.")
@json_option
def cli(*, runs: int, as_json: bool) -> None:
    """Time whole processes: --help, and a simulation of the 2.7b model at density 0.25."""
    rows = [{"command": " ".join(("wse-sim", *words)), **_timed_process(words, runs)} for words in _COMMANDS]
    if as_json:
        print_json({"kind": "measured", "cores": os.cpu_count(), "processes": rows})
        return
    from wse_sim.report.quantities import duration
    from wse_sim.report.tables import plain_table

    cells = [(row["command"], *(duration(row[f"{name}_s"]) for name in ("median", "min", "max"))) for row in rows]
    header = ("whole process, measured", "median", "min", "max")
    print_tables(plain_table(header, cells, right=header[1:]))


@command.command("engine")
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="The best one counts.")
@json_option
def engine(*, runs: int, as_json: bool) -> None:
    """Time the reference engine and the compiled one on the same step: the 2.7b model on four systems."""
    from wse_sim.cli.options import run_from
    from wse_sim.engine.des import run_des
    from wse_sim.engine.reference import run_reference
    from wse_sim.schedule.weight_streaming import plan_step
    from wse_sim.spec.cluster import load_cluster

    unset = dict.fromkeys(("num_csx", "batch_size", "microbatch", "seq_len", "sparsity", "tokens"))
    run = run_from(model="2.7b", system="cs2", density=0.25, release="r2", seed=0, **unset)
    program = plan_step(run, load_cluster(run.system, run.num_csx)).program
    if not run_des(program).same_times_as(run_reference(program)):
        raise AssertionError("the engines disagree")
    compiled_s = _best_cpu_s(lambda: run_des(program), runs)
    reference_s = _best_cpu_s(lambda: run_reference(program), runs)
    rows: list[dict[str, Any]] = [
        {"engine": name, "cpu_s": s, "tasks_per_s": program.n_tasks / s, "ratio": reference_s / s}
        for name, s in (("reference", reference_s), ("compiled", compiled_s))
    ]
    if as_json:
        print_json({"kind": "measured", "tasks": program.n_tasks, "engines": rows})
        return
    from wse_sim.report.quantities import duration, factor, significant
    from wse_sim.report.tables import plain_table

    cells = [(r["engine"], duration(r["cpu_s"]), significant(r["tasks_per_s"]), factor(r["ratio"])) for r in rows]
    header = (f"{program.n_tasks:,} tasks, measured", "CPU time", "tasks/s", "ratio")
    print_tables(plain_table(header, cells, right=header[1:]))


def _timed_process(words: tuple[str, ...], runs: int) -> dict[str, Any]:
    """Wall time of the whole process: median, least and most of `runs`, after one that warms the caches."""
    times_s = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "wse_sim", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program, fixed words
        times_s.append(time.perf_counter() - started)
    kept = times_s[1:]
    return {"runs": runs, "median_s": statistics.median(kept), "min_s": min(kept), "max_s": max(kept)}


def _best_cpu_s(work: Callable[[], object], runs: int) -> float:
    times_s = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times_s.append(time.process_time() - started)
    return min(times_s)
