"""Results as tables for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from wse_sim.laws.cerebras_gpt import outside_in_words
from wse_sim.report.headline import Line, cluster, headline, simulation_lines, title, unit_of_losses
from wse_sim.report.metrics import SimulationResult
from wse_sim.report.quantities import (
    count,
    data_size,
    duration,
    energy,
    factor,
    money,
    of_density,
    percent,
    significant,
)
from wse_sim.report.sensitivity import Sensitivity
from wse_sim.spec.sourced import Sourced

COMPARISON_COLUMNS = {
    "density": "",
    "schedule": "",
    "loss": "measured",
    "bits/byte": "measured",
    "tokens/s": "simulated",
    "speed-up": "simulated",
    "run time": "simulated",
    "energy": "simulated",
    "cost": "simulated",
    "full loss": "projected",
}  # and the word for where each figure comes from
KIND_STYLES = {"measured": "green", "simulated": "cyan", "projected": "magenta"}
LEAST_SPAN = 5e-4  # of a logarithm, below which a constant moves nothing
_BAR_WIDTH = 16
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table of text, and which of its columns are numbers."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: tuple[str, ...]


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The ten-second table of a run: every figure with the word for where it comes from.

    Parameters
    ----------
    summary :
        Content of summary.json; parts that it lacks are left out.
    """
    table = _grid(title(summary))
    table.add_column(justify="right")
    group = ""
    for line in headline(summary):
        if line.group != group:
            _heading(table, line.group, is_first=not group)
            group = line.group
        table.add_row(line.name, line.value, Text(line.note, "dim"), Text(line.kind, KIND_STYLES[line.kind]))
    return table


def comparison_table(comparison: Mapping[str, Any]) -> Table:
    """Runs beside each other, one row each.

    Parameters
    ----------
    comparison :
        Content of comparison.json.
    """
    header, rows = comparison_cells(comparison)
    words = []
    for kind in KIND_STYLES:
        names = [name for name, of_kind in COMPARISON_COLUMNS.items() if of_kind == kind]
        words.append(f"{kind}: {names[0] if len(names) == 1 else f'{names[0]} to {names[-1]}'}")
    return plain_table(header, rows, right=header[2:], title="; ".join(words))


def comparison_cells(comparison: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the comparison of runs; a figure that a run lacks is a dash."""
    units = {"loss": measured_unit(row.get("summary", {}) for row in comparison["rows"]), "full loss": "nats/token"}
    header = tuple(f"{name}, {units[name]}" if name in units else name for name in COMPARISON_COLUMNS)
    return header, [_comparison_row(row) for row in comparison["rows"]]


def measured_unit(summaries: Iterable[Mapping[str, Any]]) -> str:
    """Of the losses that runs reached here."""
    measured = (summary.get("measured", {}) for summary in summaries)
    return unit_of_losses((of.get("val_loss"), of.get("bits_per_byte")) for of in measured)


def simulation_table(result: SimulationResult) -> Table:
    """A simulation on one screen."""
    values = result.as_dict()
    table = _grid(f"{result.model}{of_density(result.density)} on {cluster(values)}: simulated")
    lines = list(simulation_lines(values))
    _heading(table, "Step", is_first=True)
    _add(table, lines[:4])
    _add_breakdown(table, result.breakdown)
    _heading(table, "Run")
    _add(table, [line for line in lines[4:] if not line.name.startswith("speed-up")])
    _heading(table, "Model")
    batch = f"{result.batch_size} × {result.seq_len} tokens, {result.microbatch} at a time on each system"
    table.add_row("batch", f"{result.batch_size} sequences", Text(batch, "dim"))
    kept = f"{count(result.nonzero_params)} non-zero" if result.density < 1 else "dense"
    table.add_row("parameters", count(result.params), Text(kept, "dim"))
    _add(table, [line for line in lines if line.name.startswith("speed-up")])
    if result.density < 1:
        speedups = [work.speedup for work in result.matrices]
        limits = ", ".join(dict.fromkeys(work.limit for work in result.matrices))
        gain = f"{factor(min(speedups))} … {factor(max(speedups))}"
        table.add_row("linear layers", gain, Text(f"of {factor(1 / result.density)}; {limits}", "dim"))
        table.add_row("masks", result.masks)
    blocks = "1 block" if result.resident_layers == 1 else f"{result.resident_layers} blocks"
    held = f"activations of {blocks} stay, {data_size(result.offloaded_bytes)} to the servers"
    table.add_row("on-wafer memory", data_size(result.working_bytes), Text(held, "dim"))
    _heading(table, "Evidence")
    engine = result.engine
    speed = f"{duration(engine['wall_s'])}, {significant(engine['events_per_s'])} events/s, measured"
    table.add_row("engine", f"{engine['name']}, {engine['events']:,} events", Text(speed, "dim"))
    for what, names in (("assumed", result.assumed), ("for the goodput", result.assumed_operations)):
        table.add_row(what, f"{len(names)} constants", Text(", ".join(names) or "none", "dim"))
    return table


def tornado_table(sensitivity: Sequence[Sensitivity], *, title: str = "What the throughput hangs on") -> Table:
    """How far each constant's range moves the throughput, the widest first, without those that do not move it."""
    largest = max((s.span for s in sensitivity), default=0.0)
    rows = [
        (
            s.constant,
            f"{plain_number(s.low)} – {plain_number(s.high)}",
            significant(s.tokens_per_s_at_low),
            significant(s.tokens_per_s_at_high),
            _bar(s.span / largest),
        )
        for s in sensitivity
        if s.span >= LEAST_SPAN
    ]
    header = ("constant", "range", "tokens/s at low", "at high", "")
    return plain_table(header, rows, right=("tokens/s at low", "at high"), title=title)


def constants_table(constants: Mapping[str, Sourced], *, title: str) -> Table:
    """Constants with range, kind and source, and their dates where they have any."""
    is_dated = any(c.as_of for c in constants.values())
    rows = [
        (name, plain_number(c.value), sourced_range(c), *((c.as_of or "",) if is_dated else ()), c.kind, c.source)
        for name, c in constants.items()
    ]
    header = ("constant", "value", "range", *(("as of",) if is_dated else ()), "kind", "source")
    return plain_table(header, rows, title=title, right=("value",))


def sourced_range(constant: Sourced) -> str:
    """The range of a constant, "" where none is known."""
    low, high = constant.ends
    return f"{plain_number(low)} – {plain_number(high)}" if low < high else ""


def plain_number(value: float) -> str:
    """A constant as it is written down: 1,024, 0.42, 1.5e+11."""
    return f"{value:,.6g}" if value == 0 or 1e-3 <= abs(value) < 1e7 else f"{value:.4g}"


def section_table(section: Section) -> Table:
    """A section for a terminal."""
    return plain_table(section.header, section.rows, title=section.title, right=section.right)


def section_markdown(section: Section) -> str:
    """A section for a page in Markdown, under a heading of its own."""
    ruler = tuple("---:" if name in section.right else "---" for name in section.header)
    cells = [section.header, ruler, *section.rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
    return f"## {section.title}\n\n{table}"


def plain_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", right: Sequence[str] = ()
) -> Table:
    """A table of text; the columns named in `right` are aligned right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title_style="")
    table.title = Text(title, "bold") if title else None
    for name in header:
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=side, overflow="fold", no_wrap=name == header[0], header_style="dim")
    for row in rows:
        table.add_row(*row)
    return table


def _grid(heading: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.title, table.title_justify, table.title_style = Text(heading, "bold"), "left", ""
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column()
    return table


def _heading(table: Table, text: str, *, is_first: bool = False) -> None:
    if not is_first:
        table.add_row()
    table.add_row(Text(text, "bold"))


def _add(table: Table, lines: Iterable[Line]) -> None:
    for line in lines:
        table.add_row(line.name, line.value, Text(line.note, "dim"))


def _add_breakdown(table: Table, breakdown: Mapping[str, float]) -> None:
    for name, fraction in breakdown.items():
        if fraction >= 0.0005:
            table.add_row(f"  {name.replace('_', ' ')}", percent(fraction), Text(_bar(fraction), "cyan"))


def _bar(fraction: float) -> str:
    eighths = round(fraction * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _comparison_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    summary = row.get("summary", {})
    measured, simulated, projected = (summary.get(kind) or {} for kind in ("measured", "simulated", "projected"))

    def shown(table: Mapping[str, Any], key: str, form: Any) -> str:
        return form(table[key]) if table.get(key) is not None else "–"

    return (
        shown(row, "density", "{:g}".format),
        str(row.get("schedule", "–")),
        shown(measured, "train_loss" if measured.get("val_loss") is None else "val_loss", "{:.3f}".format),
        shown(measured, "bits_per_byte", "{:.3f}".format),
        shown(simulated, "tokens_per_s", count),
        shown(simulated, "speedup_vs_dense", factor),
        shown(simulated, "run_time_s", duration),
        shown(simulated, "energy_j", energy),
        shown(simulated, "cost_usd", money),
        "outside" if _is_outside(projected) else shown(projected, "value", "{:.3f}".format),
    )


def _is_outside(projected: Mapping[str, Any]) -> bool:
    return "effective_flops" in projected and outside_in_words(projected["value"], projected["effective_flops"]) != ""
