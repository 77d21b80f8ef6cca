"""`wse-sim train`: train for real here, simulate the full-size run, and lay both side by side."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.config_option import config_option, configured
from wse_sim.cli.data_options import data_options
from wse_sim.cli.host_options import host_options
from wse_sim.cli.init_options import init_options
from wse_sim.cli.logging_options import log_option, loggers_from
from wse_sim.cli.options import (
    given_options,
    json_option,
    mask_update_options,
    parsed_count,
    parsed_seconds,
    sparse_wide_option,
)
from wse_sim.cli.output import EXIT_INTERRUPTED, command_line, print_json, print_tables, say
from wse_sim.cli.trace_options import trace_extent_from, trace_options
from wse_sim.defaults import TRAIN
from wse_sim.errors import SpecError
from wse_sim.files import require_folder, require_place_for_folder

if TYPE_CHECKING:
    from training.job import Job


@click.command("train")
@click.option("--model", metavar="M", help="Preset, config.json or shape TOML (wse-sim list).")
@config_option
@click.option("--density", metavar="RHO[,...]", help="Fraction of the linear layers' weights kept.  [default: 1]")
@click.option("--sparsity", metavar="S[,...]", help="The same as 1 - density: give one of the two.")
@sparse_wide_option
@mask_update_options
@click.option(
    "--schedule",
    default=TRAIN["schedule"],
    show_default=True,
    metavar="NAME[,...]",
    help="linear (D2Z), linear_10x, cosine, 'wsd(cooldown=0.1)', ... (wse-sim schedules).",
)
@click.option(
    "--parametrization",
    metavar="sp|mup|smupar",
    help="Transfer rules.  [default: smupar; of --init-from: those of an export, else sp]",
)
@click.option(
    "--seed", type=int, default=TRAIN["seed"], show_default=True, help="Of weights, masks and the order of the data."
)
@click.option(
    "--system", default=TRAIN["system"], show_default=True, metavar="cs1|cs2|cs3|FILE", help="Kind of system."
)
@click.option("--num-csx", type=int, metavar="N", help="Systems.  [default: the recipe's]")
@click.option("--batch-size", type=int, metavar="B", help="Sequences per step of the target.  [default: the recipe's]")
@click.option("--seq-len", type=int, metavar="S", help="Tokens per sequence of the target.  [default: the model's]")
@click.option(
    "--tokens", callback=parsed_count, metavar="T", help="Of the target: 1e9, 26.3B.  [default: 20 per parameter]"
)
@click.option(
    "--release", default=TRAIN["release"], show_default=True, metavar="R", help="Software release: wse-sim list."
)
@click.option("--gpu", default=TRAIN["gpu"], show_default=True, metavar="G", help="GPU to compare with: wse-sim list.")
@click.option(
    "--gpu-software",
    default=TRAIN["gpu_software"],
    show_default=True,
    metavar="P",
    help="Program on the GPUs: wse-sim list.",
)
@click.option("--num-gpus", type=int, metavar="K", help="GPUs to compare with.  [default: 8 per system]")
@click.option(
    "--budget",
    callback=parsed_seconds,
    default=TRAIN["budget"],
    show_default=True,
    metavar="TIME",
    help="To train here: 90s, 3m, 2h; a bare number is seconds.",
)
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "skip"]),
    help="A step whose loss or gradient is no finite number ends the run, or is left out; goes with --resume too.  "
    "[default: stop]",
)
@host_options
@init_options
@data_options
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/...]")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with an interrupted run.")
@click.option(
    "--verify-resume",
    is_flag=True,
    help="Only prove that this very run, killed and resumed, equals itself uninterrupted: 4 of its steps, three times.",
)
@click.option("--remeasure", is_flag=True, help="Measure this machine again.")
@log_option
@trace_options
@json_option
def command(
    *, as_json: bool, out: Path | None, resume: Path | None, verify_resume: bool, remeasure: bool, **options: Any
) -> None:
    """Train here, simulate the full-size run, and write a run directory with both.

    Several densities or schedules, separated by commas, give one run each and a comparison.
    """
    followed = _followed(options)
    if verify_resume and (followed or resume):
        raise SpecError(f"--verify-resume leaves no run behind: leave{followed or ' --resume'} out")
    log, trace = loggers_from(options), trace_extent_from(options)
    # What was asked for, and what it is to read, is looked at before torch, which takes seconds to load.
    jobs = []
    if resume is not None:
        require_folder(resume)
        _require_goes_on(resume, out, **options)
    else:
        jobs = _jobs(**options)
        _require_input(jobs[0])
        if out is not None:
            require_place_for_folder(out)
    from training.distributed import joined
    from training.interrupt import Interrupted
    from training.run_set import can_go_on
    from wse_sim.cli.terminal import console as console_on
    from wse_sim.cli.terminal import is_quiet
    from wse_sim.cli.train_session import Session

    console = console_on(sys.stderr)
    folder = resume or out
    try:
        with joined("cpu") as world:  # under torchrun, all processes come here
            console.quiet = is_quiet() or not world.is_first
            session = Session(
                console=console,
                command=command_line(),
                world=world,
                log=log,
                trace=trace,
                on_nan=options["on_nan"],
            )
            if verify_resume:
                session.verify_resume(jobs, out, remeasure=remeasure, as_json=as_json)
                return
            if resume is not None:
                result = session.resume(resume, remeasure=remeasure)
            else:
                folder = world.from_first(_free_folder(jobs) if out is None else out)
                result = session.run(jobs, folder, remeasure=remeasure)
    except (Interrupted, KeyboardInterrupt) as stopped:
        if folder is None or not can_go_on(folder):
            raise
        if world.is_first:
            go_on = f"to go on: wse-sim train --resume {shlex.quote(str(folder))}{followed}"
            click.echo(f"{str(stopped) or 'stopped'}; {go_on}", err=True)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    assert folder is not None
    if not world.is_first:
        return
    if as_json:
        print_json(result)
    else:
        _print_result(result, folder)


def _followed(options: dict[str, Any]) -> str:
    """The options about dashboards and the trace as they were given, for a command that goes on with the run."""
    given = {name: options[name] for name in ("log", "trace_steps", "trace_max_bytes") if options[name] is not None}
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())


def _jobs(*, config: tuple[str, ...], model: str | None, **options: Any) -> list["Job"]:
    from wse_sim.api.jobs import jobs_of

    return jobs_of(configured(config), model, options)


def _require_input(job: "Job") -> None:
    """Raise SpecError where data or weights cannot be read, as far as that is told soon and without torch."""
    from training.data import reading_of
    from wse_sim.gpu.spec import load_software

    load_software(job.gpu_software)
    reading_of(job.data, tokenizer=job.tokenizer, text_field=job.text_field)
    if job.start is not None:
        from models.hugging_face.tensors import read_tensors

        read_tensors(job.start.folder)


def _require_goes_on(
    resume: Path, out: Path | None, *, config: tuple[str, ...], model: str | None, **options: Any
) -> None:
    """Refuse a run that cannot go on, and options about what is trained that are not its own."""
    from wse_sim.api.resuming import require_can_go_on, require_same

    given = given_options(click.get_current_context())
    said = {name: value for name, value in options.items() if name in given}
    require_same(resume, said | {"config": configured(config)}, model=model, out=out)
    require_can_go_on(resume)


def _free_folder(jobs: list["Job"]) -> Path:
    """A folder that no run has taken yet."""
    from training.job import free_folder

    return free_folder(jobs[0].name if len(jobs) == 1 else f"{jobs[0].preset.shape.name}-comparison")


def _print_result(result: dict[str, Any], folder: Path) -> None:
    from wse_sim.report import run_files
    from wse_sim.report.tables import comparison_table, summary_table

    is_comparison = "rows" in result
    print_tables(comparison_table(result) if is_comparison else summary_table(result))
    say(f"report: {folder / run_files.REPORT}")
    if not is_comparison:
        say(f"timeline, opens in ui.perfetto.dev: {folder / run_files.TRACE}")
