"""The sections that say how far a page's figures can be trusted: what they hang on, and how well the simulator does."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wse_sim.files import read_bytes
from wse_sim.report.markup import bullets, details, figure, paragraph, section, table
from wse_sim.report.sensitivity import Sensitivity
from wse_sim.report.tables import Section, plain_number, sourced_range
from wse_sim.report.tornado import throughput_tornado
from wse_sim.report.validation_page import SHOWN
from wse_sim.spec.load import data_path
from wse_sim.spec.reading import convert
from wse_sim.spec.sourced import Sourced

Constants = Mapping[str, Sourced | None]

TORNADO_CAPTION = (
    "Simulated: one constant at an end of its range, all others as they are; without those that move it less than a "
    "fiftieth as far as the first. The ends of the range of tokens/s add these changes in quadrature, as logarithms."
)
_VALIDATION = (
    "Published throughput beside the simulator's, with the constants that it is shipped with. Errors are "
    "predicted / published - 1, also by fits of these constants that have not seen the row, or no row of its group. "
    "Made by wse-sim validate, which also prints each run on GPUs and every source."
)
_OF_OPERATIONS = "Those of the operations, of start, checkpoints and failures,"
# What is true of assumed constants on a page, by what their names have in them.
_AT_THEIR_VALUES = {"": "The figures above are with each of them at its value, where they do not say otherwise."}
OF_A_RUN = {
    "": "The range of tokens/s above covers what those of the wafers do to it.",
    "operations.": f"{_OF_OPERATIONS} move the wall clock alone.",
}
OF_RUNS = _AT_THEIR_VALUES | {
    "operations.": f"{_OF_OPERATIONS} move the wall clock alone, which the pages of the runs have."
}
OF_A_COMPARISON = OF_A_RUN | {"": "The ranges of tokens/s above cover what they do to it."}
OF_A_PLAN = _AT_THEIR_VALUES | {
    "operations.": f"{_OF_OPERATIONS} move the wall clock, and energy, carbon and cost with it.",
    "power_lines.": "Those of power_lines move the projected loss, and which batches are beyond the critical size.",
}
_GROUPS = {"simulated": "", "simulated_gpu": "gpu_"}  # of a summary: what its operations' constants begin with


def sensitivity_section(simulations: Mapping[str, Mapping[str, Any]]) -> str:
    """What the tokens/s of simulations hang on, each by its cluster in words; "" where none of them says."""
    drawn = []
    for number, (of, simulated) in enumerate(simulations.items()):
        found = convert(simulated.get("sensitivity", []), list[Sensitivity], "summary")
        if found:
            plot = throughput_tornado(found, simulated["tokens_per_s"], of, salt=f"tornado-{number}")
            drawn.append(figure(plot, TORNADO_CAPTION))
    return section("What the throughput hangs on", *drawn) if drawn else ""


def validation_section() -> str:
    """The simulator against published throughput: signed errors of every wafer row, and of GPUs by source."""
    shown = msgspec.json.decode(read_bytes(data_path("validation", SHOWN)))
    parts = [paragraph(_VALIDATION), bullets(shown["lines"])]
    for side in ("wafer", "gpu"):
        of_side = convert(shown[side], Section, SHOWN)
        parts.append(
            details(of_side.title, table(of_side.header, of_side.rows, label=of_side.title, right=of_side.right))
        )
    return section("How far to trust the simulator", *parts)


def assumed_section(constants: Constants, said: Mapping[str, str]) -> str:
    """Every constant for which nothing better than an assumption is known, with its provenance; "" where none is.

    Parameters
    ----------
    said :
        What is true of them on this page, by what the names of those have in them that it is true of.
    """
    if not constants:
        return ""
    true = [words for part, words in said.items() if any(part in name for name in constants)]
    lead = " ".join(["Nothing better than an assumption is known for these.", *true])
    return section("Assumed constants", paragraph(lead), constants_list(constants))


def assumed_of_summaries(summaries: Iterable[Mapping[str, Any]]) -> dict[str, Sourced | None]:
    """The assumed constants behind summaries of runs, each once; None where an older version gives a name alone."""
    found: dict[str, Sourced | None] = {}
    for summary in summaries:
        for side, prefix in _GROUPS.items():
            found |= _assumed_of(summary.get(side, {}), "assumed", "assumed_constants", "")
            names = ("assumed_operations", "assumed_operations_constants")
            found |= _assumed_of(summary.get(side, {}), *names, f"{prefix}operations.")
    return found


def constants_list(constants: Constants) -> str:
    """Constants with value, range and source, as far as they are known."""
    rows = [
        (name, plain_number(c.value), sourced_range(c), c.source) if c else (name, "", "", "")
        for name, c in constants.items()
    ]
    header = ("constant", "value", "range", "source")
    listed = table(header, rows, label="assumed constants", right=("value", "range"))
    return f'<div class="constants">{listed}</div>\n'


def _assumed_of(result: Mapping[str, Any], names: str, constants: str, prefix: str) -> dict[str, Sourced | None]:
    sourced = convert(result.get(constants, {}), dict[str, Sourced], "summary")
    return {f"{prefix}{name}": sourced.get(name) for name in result.get(names, ())}
