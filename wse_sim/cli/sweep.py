"""`wse-sim sweep`: many configurations at once, simulated or trained, as one table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.app import EXIT_INTERRUPTED
from wse_sim.cli.options import json_option
from wse_sim.cli.output import command_line, print_json, print_tables
from wse_sim.errors import SpecError
from wse_sim.spec.written import split_at_commas

if TYPE_CHECKING:
    from wse_sim.processes.pool import Spread
    from wse_sim.sweeps.keys import Point, Vocabulary
    from wse_sim.sweeps.sweep import Evaluate, Row, Sweep

_KEYS = (
    ("model", "M", "Presets, config.json or shape TOML (wse-sim list)."),
    ("system", "cs1|cs2|cs3|FILE", "Kinds of system.  [default: cs2]"),
    ("num_csx", "N", "Systems.  [default: recipe's with its batch, or 1]"),
    ("batch_size", "B", "Sequences per step in all.  [default: recipe's]"),
    ("microbatch", "m", "Sequences per system at a time.  [default: fastest]"),
    ("seq_len", "S", "Tokens per sequence.  [default: the model's]"),
    ("density", "RHO", "Fraction of the linear layers' weights kept.  [default: 1]"),
    ("sparsity", "S", "The same as 1 - density: give one of the two."),
    ("release", "R", "Software releases.  [default: r2]"),
    ("tokens", "T", "Lengths of the run: 1e9, 26.3B, 800M.  [default: 20 per parameter]"),
    ("seed", "N", "Of the drawn masks, and of jitter.  [default: 0]"),
    ("jitter", "F", "Each pass takes longer by a drawn fraction from 0 to F.  [default: 0]"),
    ("straggler", "F", "One system takes F times as long.  [default: 1]"),
    ("sparsity_algorithm", "A", "static, set, rigl, gmp: how masks change.  [default: static]"),
    ("mask_update_steps", "N", "Steps between two changes of the masks.  [default: 100]"),
    ("gpu", "G", "GPUs in place of systems, by the roofline (with --train: to compare with)."),
    ("num_gpus", "K", "How many of them."),
    ("gpu_software", "NAME", "Their training programs (wse-sim list gpu-software).  [default: megatron]"),
    ("precision", "P", "bf16, fp8 on GPUs (with --train: fp32, bf16, of products here)."),
    ("two_four", "true|false", "2:4 sparsity, which GPUs skip; at density 0.5.  [default: false]"),
    ("tp", "N", "Tensor-parallel ways.  [default, as of what follows: fastest that fits]"),
    ("cp", "N", "Context-parallel ways."),
    ("pp", "N", "Pipeline stages."),
    ("interleave", "N", "Groups of blocks of each stage."),
    ("microbatch_gpu", "m", "Sequences of a copy of the model at a time."),
    ("recompute_gpu", "R", "What going back computes again: none, selective (attention), full."),
    ("sharding", "S", "What the copies share out: zero1 (moments), zero3 (weights and gradients too)."),
)
_TRAIN_KEYS = (
    ("schedule", "NAME", "With --train: learning-rate schedules.  [default: linear]"),
    ("peak_lr", "LR", "With --train: base learning rates, in the modes full and dense."),
    ("mode", "M", "With --train: auto, full, dense, proxy.  [default: auto]"),
    ("steps", "N", "With --train: optimizer steps here, in the modes full and dense."),
    ("budget", "TIME", "With --train: of each run: 90s, 2h.  [default: 3m]"),
)
_SET = "assignments"
_RUNS = Path("runs/sweep")
_TABLE_SUFFIXES = (".csv", ".gz", ".jsonl")


def _key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, metavar, line in reversed(_KEYS + _TRAIN_KEYS):
        command = click.option(f"--{name.replace('_', '-')}", name, metavar=f"{metavar},...", help=line)(command)
    return command


@click.command("sweep")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@_key_options
@click.option(
    "--set",
    _SET,
    multiple=True,
    metavar="KEY=V,...",
    help="Any other key: a constant (csx.io_bytes_per_s=75e9,150e9, h100.memory_bytes=1e11); with --train its options.",
)
@click.option("--train", "is_training", is_flag=True, help="Train each point here, as wse-sim train does.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Table to write: .csv, .csv.gz or .jsonl; with --train a folder.  [default: none; runs/sweep]",
)
@click.option(
    "--engine",
    type=click.Choice(["event", "closed-form"]),
    default="event",
    show_default=True,
    help="Simulate each point, or price thousands at once: right to 1 % where contention is below 0.9.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes here, or Ray (pip install 'wse-sim[ray]').",
)
@click.option(
    "--processes",
    "n_processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes here at most.  [default: one for each CPU]",
)
@click.option("--sort-by", metavar="FIELD", help="Of the best rows.  [default: tokens_per_s, or measured_val_loss]")
@json_option
def command(
    *,
    file: Path | None,
    is_training: bool,
    out: Path | None,
    engine: str,
    executor: str,
    n_processes: int | None,
    sort_by: str | None,
    as_json: bool,
    **keys: Any,
) -> None:
    """Simulate, or train, many configurations, and write one table with a row for each.

    Keys take several values with commas between them; every combination is a point, and the last key changes fastest.
    FILE holds points: a .toml with [fixed], [grid] and [[list]], or a .csv. What does not fit is a row that says why.
    The same command goes on with a sweep that was stopped.

    \b
        wse-sim sweep --model 13b --system cs3 --num-csx 1,2,4,8,16 --density 1,0.5,0.25 --batch-size 512,1024
        wse-sim sweep --model 13b --system cs3 --num-csx 16 --batch-size 1024 --set csx.io_bytes_per_s=75e9,150e9,300e9
        wse-sim sweep examples/sweep.toml --out sweep.csv
        wse-sim sweep --train --model 111m --density 1,0.25 --schedule linear,cosine --budget 60s --out runs/sweep
    """
    given = click.get_current_context().params  # in the order in which they were typed, which is that of the keys
    lists = _lists({name: value for name, value in given.items() if name in keys and value not in (None, ())})
    for_training = [name for name, *_ in _TRAIN_KEYS if name in lists]
    if for_training and not is_training:
        raise SpecError(f"{for_training[0]} is for runs that are trained: give --train too")
    if executor == "ray" and n_processes is not None:
        raise SpecError("--processes is for --executor local: Ray has its own number of CPUs")
    is_closed_form = engine == "closed-form"
    if is_closed_form and is_training:
        raise SpecError("--engine closed-form is for points that are simulated: leave it out, or --train")
    prepare = _trained if is_training else partial(_simulated, is_closed_form=is_closed_form)
    job = prepare(file, lists, out, n_processes=n_processes, is_on_ray=executor == "ray")
    _run(job, sort_by, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A sweep, what works it out, and where its table goes."""

    sweep: "Sweep"
    evaluate: "Evaluate"
    table: Path | None
    sort_by: str


def _lists(given: dict[str, Any]) -> dict[str, list[str]]:
    """The values of each key, in order."""
    lists: dict[str, list[str]] = {}
    for name, value in given.items():
        for text in value if name == _SET else [f"{name}={value}"]:
            key, equals, values = text.partition("=")
            if not equals:
                raise SpecError(f"--set {text}: write KEY=VALUE, or KEY=VALUE,VALUE")
            if key.strip() in lists:
                raise SpecError(f"{key.strip()} is given twice: write its values with commas between them")
            lists[key.strip()] = split_at_commas(values, key.strip())
    return lists


def _points(file: Path | None, lists: dict[str, list[str]], vocabulary: "Vocabulary") -> "list[Point]":
    from wse_sim.sweeps.points import grid_points, read_points

    if file is None:
        return grid_points(lists, vocabulary)
    if lists:
        raise SpecError(f"keys come from {file} or from options, not from both, and {next(iter(lists))} is given too")
    return read_points(file, vocabulary)


def _simulated(
    file: Path | None,
    lists: dict[str, list[str]],
    out: Path | None,
    *,
    n_processes: int | None,
    is_on_ray: bool,
    is_closed_form: bool,
) -> _Job:
    from wse_sim.processes.on_ray import on_ray
    from wse_sim.sweeps.closed_form import closed_form_sweep, price_points
    from wse_sim.sweeps.keys import simulated_vocabulary
    from wse_sim.sweeps.simulated import on_cores, simulate_points, simulated_sweep

    points = _points(file, lists, simulated_vocabulary())
    evaluate = price_points if is_closed_form else simulate_points
    spread: Spread = on_ray if is_on_ray else partial(on_cores, n_processes=n_processes)
    return _Job(
        sweep=closed_form_sweep(points) if is_closed_form else simulated_sweep(points),
        evaluate=partial(evaluate, spread=spread),
        table=out,
        sort_by="tokens_per_s",
    )


def _trained(
    file: Path | None, lists: dict[str, list[str]], out: Path | None, *, n_processes: int | None, is_on_ray: bool
) -> _Job:
    from training.sweep import train_points, trained_sweep, trained_vocabulary
    from wse_sim.sweeps.journal import TABLE

    folder = _RUNS if out is None else out
    if folder.suffix in _TABLE_SUFFIXES:
        raise SpecError(f"--out {folder}: with --train it is a folder, which gets {TABLE} and a folder for each run")
    sweep = trained_sweep(_points(file, lists, trained_vocabulary()))
    return _Job(
        sweep=sweep,
        evaluate=partial(train_points, sweep=sweep, out=folder, n_workers=n_processes, is_on_ray=is_on_ray),
        table=folder / TABLE,
        sort_by="measured_val_loss",
    )


def _run(job: _Job, sort_by: str | None, *, as_json: bool) -> None:
    from rich.console import Console

    from wse_sim.cli.sweep_display import sweep_progress
    from wse_sim.sweeps.run import best_first, run_sweep

    sort_by = sort_by or job.sort_by
    best_first(job.sweep, [], sort_by)  # raises before anything is worked out
    try:
        with sweep_progress(len(job.sweep.points), Console(stderr=True, highlight=False)) as watch:
            rows = run_sweep(job.sweep, job.evaluate, job.table, watch, command=command_line())
    except KeyboardInterrupt:
        saved = f"stopped and saved; to go on:  {command_line()}"
        click.echo("stopped; without --out no row is kept" if job.table is None else saved, err=True)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    _print(job, rows, sort_by, as_json=as_json)


def _print(job: _Job, rows: "list[Row]", sort_by: str, *, as_json: bool) -> None:
    from wse_sim.cli.sweep_display import best_table, common_keys, content_of, failures
    from wse_sim.sweeps.run import best_first

    sweep = job.sweep
    if as_json:
        print_json(content_of(sweep, rows, **_assumed(sweep, rows)))
    else:
        best = best_first(sweep, rows, sort_by)
        table = [best_table(sweep, best, sort_by)] if best else []
        print_tables(common_keys(sweep, best), *table, *failures(sweep, rows))
    if job.table is not None:
        from wse_sim.sweeps.page import write_sweep_page

        click.echo(f"table: {job.table}", err=True)
        click.echo(f"report: {write_sweep_page(job.table)}", err=True)


def _assumed(sweep: "Sweep", rows: "list[Row]") -> dict[str, Any]:
    if sweep.kind != "simulated":
        return {}
    from wse_sim.sweeps.simulated import assumed_constants

    return {"assumed": list(assumed_constants(sweep, rows))}
