"""A comparison as one HTML page that needs nothing but itself: the verdict first."""

from itertools import groupby
from pathlib import Path

import msgspec

from wse_sim.files import make_folder, write_atomically, write_json
from wse_sim.report import run_files
from wse_sim.report.comparison import Comparison, Way, WrittenComparison
from wse_sim.report.comparison_figures import loss_by_time
from wse_sim.report.comparison_lines import (
    LAYOUT_NUMBERS,
    Line,
    all_notes,
    asked,
    equal_loss_words,
    layout_cells,
    layout_words,
    lines,
    ratio_cells,
    shown_ways,
    title,
)
from wse_sim.report.headline import gpu_in_words
from wse_sim.report.html_sections import breakdown_bar, opening
from wse_sim.report.markup import (
    bullets,
    command_line,
    figure,
    page,
    paragraph,
    scrolling,
    section,
    table,
    tag,
    text,
    wordy,
)
from wse_sim.report.quantities import duration
from wse_sim.report.tornado import throughput_tornado
from wse_sim.report.trust_sections import OF_A_COMPARISON, TORNADO_CAPTION, assumed_section, validation_section
from wse_sim.spec.reading import convert
from wse_sim.spec.sourced import Sourced

_LOSS_CAPTION = (
    "Projected: what loss the law gives each way after a time. A dot ends each run; the grey lines cross where the "
    "wafers' run ends: on the upright one all have had its time, on the level one all have reached its loss. A machine "
    "that takes far longer is left out."
)
_PARTS = {"wafer": "breakdown", "gpu": "gpu_breakdown", "here": "here_breakdown"}  # what says what a step's parts are


def write_comparison(comparison: Comparison, folder: Path, *, command: str) -> tuple[Path, Path]:
    """Write compare.json and report.html into `folder`, which is made where there is none, and return their paths.

    Raises
    ------
    SpecError
        When they cannot be written.
    """
    make_folder(folder)
    written = WrittenComparison(**msgspec.structs.asdict(comparison), command=command)
    content, page_path = folder / run_files.COMPARE, folder / run_files.REPORT
    write_json(content, msgspec.to_builtins(written))
    write_atomically(page_path, render_comparison(comparison, command=command).encode())
    return content, page_path


def render_written_comparison(folder: Path) -> str:
    """The page of the comparison in compare.json of `folder`.

    Raises
    ------
    SpecError
        When it cannot be read, or is no comparison.
    """
    path = folder / run_files.COMPARE
    written = convert(run_files.read_document(path), WrittenComparison, str(path))
    return render_comparison(written, command=written.command)


def render_comparison(comparison: Comparison, *, command: str) -> str:
    """The page; the same comparison gives the same bytes.

    Parameters
    ----------
    command :
        That made it.
    """
    heading, ways = title(comparison), shown_ways(comparison)
    body = opening(heading, asked(comparison))
    body += section("Verdict", *_verdict(comparison))
    body += section("Side by side", _ways_table(comparison))
    body += section("One step", *(_step(way, _PARTS[name.partition("_")[0]]) for name, way in ways.items()))
    if comparison.iso_time:
        body += section("Loss against time", figure(loss_by_time(comparison), _LOSS_CAPTION))
    body += section("What the throughput hangs on", *_sensitivity(comparison))
    body += section("Layouts of the GPUs", *_layouts(comparison))
    body += section("What to know before using this", bullets(all_notes(comparison)))
    body += validation_section()
    body += assumed_section(_assumed(comparison), OF_A_COMPARISON)
    body += section("To do it again", command_line(command))
    return page(f"{heading}: wse-sim compare", body)


def _verdict(comparison: Comparison) -> list[str]:
    """How many GPUs equal one system, how the sides compare, and whether it fits."""
    ways = shown_ways(comparison).values()
    ratios = table(
        ("wafers over GPUs", "ratio", "range"),
        ratio_cells(comparison),
        label="ratios of the wafers to the GPUs",
        right=("ratio", "range"),
        kinds=("", "simulated", "simulated"),
    )
    equal_loss = equal_loss_words(comparison)
    said = [paragraph(words) for words in (comparison.headline, equal_loss) if words]
    return [*said, ratios, bullets(f"On {way.name} it {way.memory.verdict}" for way in ways)]


def _ways_table(comparison: Comparison) -> str:
    """A column for every way, and behind them a tag; this machine has its own."""
    head, n_columns = "<th></th>", 2
    for name, way in shown_ways(comparison).items():
        head += "<th></th>" if name == "here" else ""
        head += f'<th scope="col" class="number">{text(way.name)}</th>'
        n_columns += 2 if name == "here" else 1
    bodies = ""
    for group, of_group in groupby(lines(comparison), key=lambda line: line.group):
        rows = f'<tr class="group"><th scope="rowgroup" colspan="{n_columns}">{text(group)}</th></tr>\n'
        bodies += f"<tbody>\n{rows}{''.join(map(_row, of_group))}</tbody>\n"
    whole = f'<table class="ways">\n<thead><tr>{head}<th></th></tr></thead>\n{bodies}</table>\n'
    return scrolling(whole, "both sides, figure by figure")


def _row(line: Line) -> str:
    cells = "".join(f'<td class="number">{text(cell)}</td>' for cell in line.of_clusters)
    cells += f'<td class="kind">{tag(line.kind)}</td>'
    if line.here is not None:
        cell, kind = line.here
        cells += f'<td class="number">{text(cell)}</td><td class="kind">{tag(kind)}</td>'
    return f'<tr><th scope="row">{text(line.name)}</th>{cells}</tr>\n'


def _step(way: Way, parts: str) -> str:
    return paragraph(f"{way.name}: {duration(way.step_time_s)}, {way.kind}.") + breakdown_bar(way.breakdown, parts)


def _sensitivity(comparison: Comparison) -> list[str]:
    ways = (("wafer", comparison.wafer), ("gpu", comparison.gpu_dense))
    drawn = [throughput_tornado(w.sensitivity, w.tokens_per_s, w.name, salt=f"tornado-{side}") for side, w in ways]
    return [figure(plot, TORNADO_CAPTION) for plot in drawn]


def _layouts(comparison: Comparison) -> list[str]:
    gpu = comparison.gpu
    lead = f"{gpu_in_words(gpu.gpu)} with {gpu.software} in {gpu.precision}. Taken: {layout_words(gpu)}."
    header, rows = layout_cells(comparison.layouts)
    listed = table(header, rows, label="layouts that were tried", right=LAYOUT_NUMBERS)
    return [paragraph(lead), wordy(listed)]


def _assumed(comparison: Comparison) -> dict[str, Sourced | None]:
    """Of both sides, and of how each of them is run."""
    found: dict[str, Sourced | None] = {**comparison.assumed_constants}
    for side, way in (("operations", comparison.wafer), ("gpu_operations", comparison.gpu)):
        known = way.assumed_operations_constants
        found |= {f"{side}.{name}": known.get(name) for name in way.assumed_operations}
    return found
