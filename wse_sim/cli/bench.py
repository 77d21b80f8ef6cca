"""`wse-sim bench`: how fast the command line, the engines, plans and the trainer are on this machine."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.host_options import (
    moments_option,
    precision_option,
    recompute_option,
    store_option,
)
from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables
from wse_sim.spec.written import parse_clip, parse_densities, parse_whole_numbers

if TYPE_CHECKING:
    from wse_sim.progress import Watch

_TWINS = Path("tests/benchmarks")
_COMMANDS = (("--help",), ("simulate", "--model", "2.7b", "--density", "0.25", "--json"))


@click.group("bench")
def command() -> None:
    """Measure the command line, the engines, plans and sweeps, and the trainer on this machine."""


@command.command("cli")
@click.option(
    "--runs", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="After one that warms up."
)
@json_option
def cli(*, runs: int, as_json: bool) -> None:
    """Time whole processes: --help, and a simulation of the 2.7b model at density 0.25."""
    from wse_sim.cli.progress import progress

    with progress() as watch:
        watch.begin(len(_COMMANDS) * (runs + 1), "processes")
        rows = [{"command": " ".join(("wse-sim", *words)), **_timed_process(words, runs, watch)} for words in _COMMANDS]
    if as_json:
        print_json({"kind": "measured", "cores": os.cpu_count(), "processes": rows})
        return
    from wse_sim.report.quantities import duration
    from wse_sim.report.tables import plain_table

    cells = [(row["command"], *(duration(row[f"{name}_s"]) for name in ("median", "min", "max"))) for row in rows]
    header = ("whole process, measured", "median", "min", "max")
    print_tables(plain_table(header, cells, right=header[1:]))


@command.command("engine")
@click.option(
    "--runs", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Rounds; the best one counts."
)
@click.option("--quick", is_flag=True, help="A small step, in seconds: to see that it works, not to quote from.")
@click.option("--full", is_flag=True, help="Also growth to 1e8 tasks, memory, and what it costs that a run may record.")
@click.option(
    "--twins",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with lean SimPy and the engines in C++.  [default: tests/benchmarks, where it exists]",
)
@json_option
@click.option("--markdown", is_flag=True, help="Print the page docs/results/engine_speed.md.")
def engine(*, runs: int, quick: bool, full: bool, twins: Path | None, as_json: bool, markdown: bool) -> None:
    """Time the engines against each other: a step of the 13b model on 16 CS-2, in CPU time of one core.

    Engines are compared with each other before they are timed. Lean SimPy and the engines in C++ come from a checkout
    of the project, and the latter need g++.
    """
    from wse_sim.cli import engine_speed_page as shown
    from wse_sim.cli.engine_speed import SMALL_STEP, STEP, measure
    from wse_sim.cli.progress import progress

    if twins is None and (_TWINS / "kernels.py").is_file():
        twins = _TWINS
    workload = SMALL_STEP if quick else STEP
    with progress() as watch:
        content = measure(workload, runs=runs, twins=twins, is_full=full, watch=watch)
    content["goals"] = [] if quick else shown.goals(content)
    _show(content, shown, as_json=as_json, markdown=markdown)


@command.command("trainer")
@click.option("--workload", "names", multiple=True, metavar="10m|111m", help="Give it again for more.  [default: both]")
@click.option("--density", "densities", default="1,0.25", show_default=True, metavar="RHO[,...]", help="In turns.")
@click.option("--steps", "n_steps", type=click.IntRange(min=1), default=10, show_default=True, help="That are timed.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="B", help="Sequences per step.  [default: 8; 4]")
@click.option("--seq-len", type=click.IntRange(min=1), metavar="S", help="Tokens per sequence.  [default: 256]")
@click.option("--threads", "n_threads", type=click.IntRange(min=1), metavar="N", help="[default: one for each CPU]")
@json_option
def trainer(
    *, names: tuple[str, ...], densities: str, n_threads: int | None, as_json: bool, **given: int | None
) -> None:
    """Time training steps in float32: a model of ten million parameters on bytes, and Cerebras-GPT 111M.

    Dense and masked models take turns; the last column is what masking costs.
    """
    from training.speed import measure_speed, workloads
    from wse_sim.cli.progress import progress
    from wse_sim.processes.limits import n_usable_cpus

    asked = parse_densities(densities, None)
    threads = n_threads or n_usable_cpus()
    with progress() as watch:
        found = [
            measure_speed(name, densities=asked, n_threads=threads, watch=watch, **given)  # type: ignore[arg-type]
            for name in names or workloads()
        ]
    if as_json:
        import msgspec

        print_json({"kind": "measured", "steps": [msgspec.to_builtins(speed) for of in found for speed in of]})
        return
    from wse_sim.report.quantities import count
    from wse_sim.report.tables import plain_table

    header = ("training steps, measured", "density", "tokens/s, median", "best", "GFLOP/s", "over the first")
    rows = [
        (
            f"{speed.workload}: {count(speed.n_params)} parameters, {speed.batch_size} x {speed.seq_len} tokens",
            f"{speed.density:g}",
            f"{speed.tokens_per_s:,.0f}",
            f"{speed.best_tokens_per_s:,.0f}",
            f"{speed.dense_flops_per_s / 1e9:.0f}",
            f"{speed.tokens_per_s / of[0].tokens_per_s - 1:+.1%}",
        )
        for of in found
        for speed in of
    ]
    print_tables(plain_table(header, rows, right=header[1:]), f"float32, {threads} thread{'s' * (threads > 1)}")


@command.command("streaming")
@click.option("--model", default="2.7b", show_default=True, metavar="M", help="Preset, config.json or shape TOML.")
@click.option("--density", type=float, default=0.25, show_default=True, metavar="RHO", help="Weights kept.")
@click.option("--clip", "clips", default="none,1.0", show_default=True, metavar="NORM|none[,...]", help="Each in turn.")
@click.option("--batch-sizes", default="1,4", show_default=True, metavar="B[,...]", help="Sequences per step, in turn.")
@click.option("--microbatch", type=click.IntRange(min=1), metavar="m", help="Sequences at once.  [default: all]")
@click.option(
    "--seq-len", type=click.IntRange(min=1), default=128, show_default=True, metavar="S", help="Their tokens."
)
@click.option("--steps", "n_steps", type=click.IntRange(min=1), default=3, show_default=True, help="Of each.")
@click.option("--threads", "n_threads", type=click.IntRange(min=1), metavar="N", help="[default: one for each CPU]")
@precision_option
@recompute_option
@moments_option
@store_option
@json_option
def streaming(*, as_json: bool, clips: str, batch_sizes: str, **given: Any) -> None:
    """Time steps of the streaming executor, by what they are spent on, and measure its memory.

    Every configuration runs in a process of its own.
    """
    from wse_sim.cli.progress import progress
    from wse_sim.cli.streaming_speed import measure, tables

    with progress() as watch:
        content = measure(
            clips=[parse_clip(text) for text in clips.split(",")],
            batch_sizes=parse_whole_numbers(batch_sizes, "batch-sizes"),
            watch=watch,
            **given,
        )
    if as_json:
        print_json(content)
        return
    print_tables(*tables(content))


@command.command("plan")
@click.option(
    "--runs", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Rounds; the best one counts."
)
@click.option("--quick", is_flag=True, help="Small ones, in seconds: to see that it works, not to quote from.")
@json_option
@click.option("--markdown", is_flag=True, help="Print the page docs/results/plan_speed.md.")
def plan(*, runs: int, quick: bool, as_json: bool, markdown: bool) -> None:
    """Time what plans and sweeps are made of: the closed form, layouts on GPUs, 1,000 simulated steps, a whole plan.

    The closed form is also held against the event engine.
    """
    from wse_sim.cli import plan_speed_page as shown
    from wse_sim.cli.plan_speed import FULL, SMALL, measure
    from wse_sim.cli.progress import progress

    with progress() as watch:
        content = measure(SMALL if quick else FULL, runs=runs, watch=watch)
    content["goals"] = [] if quick else shown.goals(content)
    _show(content, shown, as_json=as_json, markdown=markdown)


def _show(content: dict[str, Any], shown: ModuleType, *, as_json: bool, markdown: bool) -> None:
    """Print what was measured; `shown` has its `page`, `sections` and `notes`."""
    if as_json:
        print_json(content)
    elif markdown:
        click.echo(shown.page(content), nl=False)
    else:
        from wse_sim.report.tables import section_table

        for section in shown.sections(content):
            print_tables(section_table(section), "")
        print_tables(*shown.notes(content))


def _timed_process(words: tuple[str, ...], runs: int, watch: "Watch") -> dict[str, Any]:
    """Wall time of the whole process: median, least and most of `runs`, after one that warms the caches."""
    times_s = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "wse_sim", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program, fixed words
        times_s.append(time.perf_counter() - started)
        watch.came()
    kept = times_s[1:]
    return {"runs": runs, "median_s": statistics.median(kept), "min_s": min(kept), "max_s": max(kept)}
