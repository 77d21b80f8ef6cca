"""`wse-sim calibrate`: a few constants fitted to the user's own runs, and the system that they make."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables, say
from wse_sim.cli.words import OutputFile

if TYPE_CHECKING:
    from wse_sim.calibration import Calibration


@click.command("calibrate")
@click.argument("measurements", metavar="MEASUREMENTS.csv")
@click.option(
    "--base",
    metavar="SYSTEM|GPU",
    help="What the fit starts from, a name or a file.  [default: the one that was measured]",
)
@click.option(
    "--free",
    metavar="NAME,...",
    help="Constants to fit (wse-sim explain), earlier ones first.  [default: sustained rates, latency]",
)
@click.option(
    "--out",
    type=OutputFile(),
    metavar="FILE.toml",
    help="Write the calibrated system or GPU, for --system and --gpu; its program beside it.",
)
@json_option
def command(*, measurements: str, base: str | None, free: str | None, out: Path | None, as_json: bool) -> None:
    """Fit a few constants to runs that you measured, and say how far to trust them.

    \b
    Columns of runs on wafer-scale systems:
      model, system, num_csx, batch_size, samples_per_s or tokens_per_s
      and, if they are known, microbatch, seq_len, density, release
    Columns of runs on GPUs:
      model, gpu, num_gpus, batch_size, tokens_per_s or tokens_per_s_per_gpu or step_time_s
      and software, precision, seq_len, tp, cp, pp, interleave, microbatch, recompute, sharding
    A line is a run. batch_size and microbatch are in sequences, seq_len in tokens.
    batch_size and rates are over all systems, or GPUs, but for tokens_per_s_per_gpu.
    """
    from wse_sim.calibration import calibrate, own_files, own_runs, read_measurements
    from wse_sim.cli.progress import AFTER_S, progress
    from wse_sim.files import write_atomically

    names = None if free is None else [name.strip() for name in free.split(",") if name.strip()]
    runs = own_runs(read_measurements(measurements), base)
    with progress(after_s=AFTER_S) as watch:
        calibration = calibrate(runs, names, watch)
    files = own_files(calibration, out, datetime.now(UTC).date().isoformat()) if out else {}
    for path, text in files.items():
        write_atomically(path, text.encode())
    if as_json:
        print_json({**calibration.as_dict(), "files": [str(path) for path in files]})
        return
    _print(calibration)
    for path in files:
        say(f"written: {path}")


def _print(calibration: "Calibration") -> None:
    from wse_sim.report.quantities import percent, signed_percent
    from wse_sim.report.tables import plain_number, plain_table

    runs = calibration.runs
    header = ("line", "run", "measured", "before", "after", "left out")
    rows = [
        (
            str(row.line),
            row.label,
            plain_number(row.measured),
            *map(signed_percent, (row.error_before, row.error_after, row.error_left_out)),
        )
        for row in calibration.rows
    ]
    title = f"Measured {runs.unit}, and error of the simulated ones"
    constants = [
        (
            constant.name,
            plain_number(constant.before),
            _rounded(constant.after, 4),
            "–" if constant.low is None else f"{_rounded(constant.low)} – {_rounded(constant.high or 0.0)}",
            f"held: {constant.held}" if constant.held else "",
        )
        for constant in calibration.constants
    ]
    names = ("constant", "before", "after", "interval", "")
    print_tables(
        plain_table(header, rows, right=("line", *header[2:]), title=title),
        "",
        plain_table(names, constants, right=("before", "after"), title=f"Constants, from {runs.base_name}"),
        "",
        *(
            f"{words}: mean |error| {percent(errors.mean_abs_error)}, largest {percent(errors.max_abs_error)}"
            for words, errors in zip(("before", "after", "left out"), calibration.errors.values(), strict=True)
        ),
        *(f"note: {note}" for note in calibration.notes),
    )


def _rounded(value: float, digits: int = 3) -> str:
    from wse_sim.report.tables import plain_number

    return plain_number(float(f"{value:.{digits}g}"))
