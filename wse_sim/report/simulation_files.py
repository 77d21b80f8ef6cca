"""A simulation as files: what a program reads, what Perfetto opens, and what a person reads."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from wse_sim import __version__
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, write_atomically, write_json
from wse_sim.report import run_files
from wse_sim.report.html import write_report
from wse_sim.report.layer_masks import LayerMask
from wse_sim.report.metrics import SimulationResult
from wse_sim.report.trace import STEADY_STEP, TraceExtent, trace_text
from wse_sim.report.trace_window import SimulatedStep

_OTHERS = (run_files.SUMMARY, run_files.COMPARISON, run_files.COMPARE, run_files.PLAN)


class WrittenSimulation(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation as simulation.json has it: with the command that made it."""

    version: str
    command: str
    simulated: SimulationResult
    layer_masks: tuple[LayerMask, ...] | msgspec.UnsetType = msgspec.UNSET


def write_simulation(
    simulation: SimulatedStep,
    folder: Path,
    *,
    command: str,
    masks: Sequence[LayerMask] = (),
    extent: TraceExtent = STEADY_STEP,
    say: Callable[[str], None] | None = None,
) -> tuple[Path, ...]:
    """Write simulation.json, trace.json and report.html into `folder`, made where there is none; return their paths.

    Parameters
    ----------
    masks :
        Of the trained run whose masks were simulated; none where they were drawn.
    extent :
        Of the trace.
    say :
        Hears what the trace leaves out.

    Raises
    ------
    SpecError
        When the folder holds something else, the trace cannot be drawn, or they cannot be written.
    """
    for name in _OTHERS:
        if (folder / name).exists():
            raise SpecError(f"{folder}: holds {name}, of another command: name another folder with --out")
    timeline, left_out = trace_text(simulation, extent)  # which may be refused: before anything is written
    make_folder(folder)
    content, trace = folder / run_files.SIMULATION, folder / run_files.TRACE
    written = WrittenSimulation(
        version=__version__,
        command=command,
        simulated=simulation.result,
        layer_masks=tuple(masks) or msgspec.UNSET,
    )
    write_json(content, msgspec.to_builtins(written))
    write_atomically(trace, timeline)
    if left_out and say is not None:
        say(f"note: {run_files.TRACE}: {left_out}")
    return content, trace, write_report(folder)
