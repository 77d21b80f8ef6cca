"""`wse-sim compare`: a run on wafers beside GPUs, or a run that was executed here beside the same step simulated."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.config_option import configured
from wse_sim.cli.economics_options import economics_options
from wse_sim.cli.gpu_options import gpu_options
from wse_sim.cli.operations_options import operations_options
from wse_sim.cli.options import given_options, imperfection_options, json_option, parsed_seconds, run_options
from wse_sim.cli.output import command_line, files_in, print_json, print_tables, say_written
from wse_sim.defaults import COMPARE
from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from wse_sim.comparison import Comparison
    from wse_sim.executed import ExecutedComparison

_OF_A_FOLDER = {"run_dir", "as_json"}


@click.command("compare")
@click.argument("run_dir", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@run_options
@imperfection_options
@gpu_options
@economics_options
@operations_options
@click.option(
    "--layouts",
    type=int,
    default=COMPARE["layouts"],
    metavar="N",
    help="Print the N best layouts of the GPUs, and N that fail.",
)
@click.option(
    "--here",
    is_flag=False,
    flag_value="20s",
    callback=parsed_seconds,
    metavar="[TIME]",
    help="Measure this machine too, for 20s or TIME; a bare number is seconds.",
)
@click.option("--tornado", is_flag=True, help="Show which constants the throughput of both sides hangs on.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write compare.json, report.html."
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    run_dir: Path | None,
    layouts: int,
    tornado: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare a run on a wafer-scale cluster with the same run on GPUs.

    Both sides of the same work: memory, time, energy, carbon, cost, and the loss they buy at equal time; how many GPUs
    equal one system.  --system-mtbf and the like hold for a system and for a server with eight GPUs.

    With RUN, the folder of a run of the streaming executor (wse-sim train --mode full), instead: lay the schedule that
    it executed beside the simulated one of the same step, layer by layer.
    """
    if run_dir is not None:
        _refuse_others(context)
        if not run_dir.is_dir():
            raise SpecError(f"{run_dir}: there is no such folder; to compare a model with GPUs: --model {run_dir}")
        _compare_executed(run_dir, as_json=as_json)
        return
    if options["model"] is None and not options["config"]:
        raise SpecError("nothing to compare: give --model M, or the folder of a run (wse-sim compare --help)")
    from wse_sim.api.comparing import compared
    from wse_sim.cli.progress import AFTER_S, progress

    with progress(after_s=AFTER_S) as watch:
        given = options | {"layouts": layouts, "config": configured(options["config"])}
        comparison = compared(given.pop("model"), given, watch)
    if out is not None:
        _write(comparison, out)
    if as_json:
        print_json(comparison.to_dict())
        return
    from wse_sim.cli.filled_in import filled_in

    wafer = comparison.wafer
    notes = filled_in(options, system=wafer.system, num_csx=wafer.num_csx, batch_size=comparison.batch_size)
    _print_comparison(comparison, notes, with_layouts=layouts > 0, with_tornado=tornado)


def _write(comparison: "Comparison", folder: Path) -> None:
    from wse_sim.report.comparison_page import write_comparison

    there = files_in(folder)
    say_written(write_comparison(comparison, folder, command=command_line()), there)


def _print_comparison(
    comparison: "Comparison", notes: "Sequence[Text]", *, with_layouts: bool, with_tornado: bool
) -> None:
    from wse_sim.report.comparison_table import comparison_screen, layouts_table, tornado_tables

    print_tables(*comparison_screen(comparison), *notes)
    if with_layouts:
        print_tables("", layouts_table(comparison.layouts))
    if with_tornado:
        for table in tornado_tables(comparison):
            print_tables("", table)


def _refuse_others(context: click.Context) -> None:
    """Raise SpecError where an option was given that a folder makes no use of."""
    for param in context.command.params:
        if param.name in given_options(context) - _OF_A_FOLDER:
            flag = max(param.opts, key=len)
            raise SpecError(
                f"RUN and {flag} are both given: leave RUN out to compare with GPUs, or {flag} to lay the run beside "
                "its simulation"
            )


def _compare_executed(run_dir: Path, *, as_json: bool) -> None:
    from wse_sim.executed import compare_executed

    comparison = compare_executed(run_dir)
    if as_json:
        print_json(_content(comparison))
    else:
        _print_executed(comparison)


def _content(comparison: "ExecutedComparison") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "step": comparison.step,
        "tokens": comparison.tokens,
        "density": comparison.density,
        "is_same_order": comparison.is_same_order,
        "layers": [asdict(layer) for layer in comparison.layers],
        "simulated": comparison.simulation.result.as_dict(),
    }


def _print_executed(comparison: "ExecutedComparison") -> None:
    from wse_sim.report.headline import system_in_words
    from wse_sim.report.tables import plain_table

    header = ("layer and pass", "in MB", "wire", "out MB", "wire", "GFLOP", "of dense", "here ms", "%", "wafer µs", "%")
    rows = [
        (
            layer.name,
            _number(layer.weight_bytes / 1e6),
            _number(layer.wafer_weight_bytes / 1e6),
            _number(layer.gradient_bytes / 1e6),
            _number(layer.wafer_gradient_bytes / 1e6),
            _number(layer.sparse_flops / 1e9),
            f"{layer.sparse_flops / layer.dense_flops:.3f}" if layer.dense_flops else "",
            _number(1e3 * layer.host_s),
            f"{100 * layer.host_share:.1f}",
            _number(1e6 * layer.wafer_s),
            f"{100 * layer.wafer_share:.1f}",
        )
        for layer in comparison.layers
    ]
    order = "the simulator's order" if comparison.is_same_order else "another order than the simulator's"
    print_tables(
        plain_table(header, rows, right=header[1:]),
        f"step {comparison.step} of the run, {comparison.tokens:,} tokens at density {comparison.density:.4g}. "
        "Measured: non-zeros and gradients that were streamed (in, out), FLOPs, time here. Simulated, for one "
        f"{system_in_words(comparison.simulation.result.system)}: bytes on the wire, time on the wafer.",
        f"Layers came in {order}. The output layer's delta is counted with its forward pass, "
        "its gradient with the embeddings'.",
    )


def _number(value: float) -> str:
    """Three digits; nothing for zero."""
    from wse_sim.report.quantities import significant

    return significant(value) if value else ""
