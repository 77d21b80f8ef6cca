"""`wse-sim compare`: a run that was executed here beside the same step simulated, layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from wse_sim.executed import ExecutedComparison


@click.command("compare")
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@json_option
def command(*, run_dir: Path, as_json: bool) -> None:
    """Lay the schedule that RUN executed beside the simulated one of the same step, layer by layer.

    RUN is the folder of a run of the streaming executor (wse-sim train --mode full).
    """
    from wse_sim.executed import compare_executed

    comparison = compare_executed(run_dir)
    if as_json:
        print_json(_content(comparison))
        return
    _print(comparison)


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


def _print(comparison: "ExecutedComparison") -> None:
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
