"""`wse-sim sweep`: many configurations at once, simulated or trained, as one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import json_option, together
from wse_sim.cli.output import command_line, going_on, print_json, print_tables, say
from wse_sim.defaults import SWEEP
from wse_sim.errors import SpecError
from wse_sim.spec.written import split_at_commas

if TYPE_CHECKING:
    from wse_sim.api.sweeping import Job, SweepResult

_OF_THE_REST = "{n:,} more rows: --out FILE.csv and --json have all, --sort-by FIELD puts others first"
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
    ("budget", "TIME", "With --train: of each run: 90s, 2h; a bare number is seconds.  [default: 3m]"),
)
_SET = "assignments"


_key_options = together(
    *(
        click.option(f"--{name.replace('_', '-')}", name, metavar=f"{metavar},...", help=line)
        for name, metavar, line in _KEYS + _TRAIN_KEYS
    )
)


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
    default=SWEEP["engine"],
    show_default=True,
    help="Simulate each point, or price thousands at once: right to 1 % where contention is below 0.9.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default=SWEEP["executor"],
    show_default=True,
    help="Processes here, or Ray (an extra).",
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
    from wse_sim.api.sweeping import job_of

    given = click.get_current_context().params  # in the order in which they were typed, which is that of the keys
    lists = _lists({name: value for name, value in given.items() if name in keys and value not in (None, ())})
    job = job_of(lists, file=file, train=is_training, out=out, engine=engine, executor=executor, processes=n_processes)
    _run(job, sort_by, as_json=as_json)


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


def _run(job: "Job", sort_by: str | None, *, as_json: bool) -> None:
    from wse_sim.cli.progress import progress
    from wse_sim.sweeps.run import best_first

    sort_by = sort_by or job.sort_by
    best_first(job.sweep, [], sort_by)  # raises before anything is worked out
    with going_on("stopped; without --out no row is kept" if job.table is None else ""), progress() as watch:
        result = job.run(watch, command=command_line())
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result, sort_by, is_written=job.table is not None)
    if job.table is not None:
        from wse_sim.sweeps.page import write_sweep_page

        say(f"table: {job.table}")
        say(f"report: {write_sweep_page(job.table)}")


def _print(result: "SweepResult", sort_by: str, *, is_written: bool) -> None:
    from wse_sim.report.tables import section_table
    from wse_sim.sweeps.run import best_first
    from wse_sim.sweeps.shown import N_BEST, best_section, common_keys, failures

    sweep, best = result.sweep, best_first(result.sweep, result.found, sort_by)
    table = [section_table(best_section(sweep, best, sort_by))] if best else []
    rest = [] if is_written or len(best) <= N_BEST else [_OF_THE_REST.format(n=len(best) - N_BEST)]
    print_tables(common_keys(sweep, best), *table, *rest, *failures(sweep, result.found))
