"""A comparison on one screen: a column for every way, a word for every row."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from wse_sim.report.comparison import Comparison, GpuLayout
from wse_sim.report.comparison_lines import (
    LAYOUT_NUMBERS,
    all_notes,
    asked,
    equal_loss_words,
    here_words,
    layout_cells,
    layout_words,
    lines,
    ratio_cells,
    shown_ways,
    title,
)
from wse_sim.report.quantities import counted
from wse_sim.report.tables import KIND_STYLES, plain_table, tornado_table


def comparison_screen(comparison: Comparison) -> Iterator[RenderableType]:
    """The table of ways, then the answer in words, the ratios, the layout and what was assumed."""
    yield ways_table(comparison)
    yield ""
    yield Text(comparison.headline, "bold")
    ratios = [f"{name} {value} ({ends})" for name, value, ends in ratio_cells(comparison)]
    yield f"Simulated, wafers over GPUs: {', '.join(ratios)}."
    if words := equal_loss_words(comparison):
        yield words
    wafer, gpu = comparison.wafer, comparison.gpu
    yield f"The wafers run in micro-batches of {counted(wafer.microbatch, 'sequence')} each."
    yield f"The GPUs run {gpu.software} in {gpu.precision}, in the fastest layout that fits: {layout_words(gpu)}."
    if comparison.here is not None:
        yield f"This machine is {here_words(comparison.here)}."
    for note in all_notes(comparison):
        yield Text(f"- {note}", "dim")


def ways_table(comparison: Comparison) -> Table:
    """A column for every way, and behind them the word for where its figures come from; this machine has its own."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title_style="")
    table.title = Text.assemble((title(comparison), "bold"), "\n", (asked(comparison), "dim"))
    table.add_column("", no_wrap=True)
    for name, way in shown_ways(comparison).items():
        if name == "here":
            table.add_column("")
        table.add_column(_two_lines(way.name), justify="right", header_style="bold")
    table.add_column("")
    for group, of_group in groupby(lines(comparison), key=lambda line: line.group):
        table.add_row(Text(group, "bold"))
        for line in of_group:
            here = () if line.here is None else (line.here[0], _word(line.here[1]))
            table.add_row(f"  {line.name}", *line.of_clusters, _word(line.kind), *here)
    return table


def layouts_table(layouts: Sequence[GpuLayout]) -> Table:
    """Layouts that were tried: those that fit, and the walls of those that do not."""
    header, rows = layout_cells(layouts)
    return plain_table(header, rows, right=LAYOUT_NUMBERS, title="Layouts of the GPUs: simulated")


def tornado_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """What the throughput of both sides hangs on."""
    for way in (comparison.wafer, comparison.gpu_dense):
        yield tornado_table(way.sensitivity, title=f"What the throughput of {way.name} hangs on")


def _two_lines(name: str) -> str:
    words = name.split(" ", 3)  # 4 × CS-3 dense
    return f"{' '.join(words[:3])}\n{words[3]}" if len(words) == 4 else name.replace(" ", "\n")


def _word(kind: str) -> Text:
    return Text(kind, KIND_STYLES.get(kind, ""))
