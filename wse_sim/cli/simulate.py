"""`wse-sim simulate`: what a training run does on a wafer-scale cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.config_option import configured
from wse_sim.cli.economics_options import economics_options
from wse_sim.cli.operations_options import operations_options
from wse_sim.cli.options import imperfection_options, json_option, run_options
from wse_sim.cli.output import command_line, files_in, print_json, print_tables, say, say_written
from wse_sim.cli.trace_options import trace_extent_from, trace_options
from wse_sim.cli.words import OutputFile
from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from wse_sim.report.trace import TraceExtent
    from wse_sim.simulation import Simulation
    from wse_sim.wafer.masks import RunMasks


@click.command("simulate")
@run_options
@imperfection_options
@economics_options
@operations_options
@click.option(
    "--mask-from",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="RUN",
    help="Take the masks of a trained run, by its folder, in place of random ones.",
)
@click.option("--engine", metavar="max-plus|des|reference", help="The engine to run.  [default: the fastest that can]")
@click.option("--verify", is_flag=True, help="Run a second engine too, and compare the finish time of every task.")
@click.option("--tornado", is_flag=True, help="Show which constants the throughput hangs on.")
@json_option
@click.option(
    "--trace",
    type=OutputFile(),
    metavar="FILE",
    help="Write the step's timeline as a Chrome trace; opens in Perfetto. FILE.gz: compressed.",
)
@trace_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write simulation.json, trace.json and report.html there.",
)
def command(
    *,
    as_json: bool,
    trace: Path | None,
    out: Path | None,
    verify: bool,
    tornado: bool,
    **options: Any,
) -> None:
    """Simulate a training run on a wafer-scale cluster: step time, tokens/s, bottleneck, days, energy, carbon, cost."""
    from wse_sim.api.simulating import simulation_of
    from wse_sim.cli.progress import AFTER_S, progress

    if trace is None and out is None and (options["trace_steps"] or options["trace_max_bytes"]):
        raise SpecError(
            "--trace-steps and --trace-max-bytes are about a trace: say with --trace FILE or --out DIR where it goes"
        )
    extent = trace_extent_from(options)
    with progress(after_s=AFTER_S) as watch:
        given = options | {"config": configured(options["config"])}
        simulation, masks = simulation_of(given.pop("model"), given, watch)
    if verify:
        from wse_sim.engine.run import verify_against_another

        other = verify_against_another(simulation.plan.program, simulation.finish, simulation.result.engine["name"])
        n_tasks = simulation.plan.program.n_tasks
        say(f"verified: {other} gives the same finish time for each of {n_tasks:,} tasks")
    if out is not None:
        _write(simulation, masks, extent, out)
    if trace is not None:  # which may lie in the folder of the others
        from wse_sim.report.trace import write_trace

        left_out = write_trace(simulation, trace, extent)
        n_steps = extent.steps.n_steps
        say(f"timeline of {'one step' if n_steps == 1 else f'{n_steps} steps'}: {trace}")
        if left_out:
            say(f"note: {left_out}")
    if as_json:
        print_json(simulation.result.as_dict())
        return
    from wse_sim.cli.filled_in import filled_in
    from wse_sim.report.tables import simulation_table, tornado_table

    run = simulation.run
    notes = filled_in(options, system=run.system, num_csx=run.num_csx, batch_size=run.batch_size)
    print_tables(simulation_table(simulation.result), *notes)
    if tornado:
        print_tables("", tornado_table(simulation.result.sensitivity))


def _write(simulation: "Simulation", masks: "RunMasks | None", extent: "TraceExtent", out: Path) -> None:
    from wse_sim.report.layer_masks import layer_masks
    from wse_sim.report.simulation_files import write_simulation

    run, cluster, microbatch = simulation.run, simulation.cluster, simulation.plan.microbatch
    there = files_in(out)
    of_layers = () if masks is None else layer_masks(run, cluster, microbatch, masks)
    written = write_simulation(simulation, out, command=command_line(), masks=of_layers, extent=extent, say=say)
    say_written(written, there)
