"""Published throughput beside the simulator's, as tables and as a page in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from wse_sim.report.quantities import percent, signed_percent, significant
from wse_sim.report.tables import Section, plain_number, section_markdown

SHOWN = "shown.json"  # in data/validation: what pages of runs show of it
LARGE_ERROR = 0.10  # equal runs differ by about as much (data/validation/wafer.toml)
_COMMAND = "wse-sim validate --markdown --figure docs/results/validation.svg > docs/results/validation.md"
_NONE = "–"
_ERRORS = {
    "error": "as shipped",
    "error_without_row": "fitted without the row",
    "error_without_group": "fitted without its group",
}
_MEANING = (
    "Errors are predicted / published - 1. Every wafer row fixed a constant, so its error as shipped is a quality "
    "of fit; *without row* and *without group* are errors of fits that have not seen the row, or no row of the "
    "same model, kind of system and source. GPU rows marked *predicted* fixed nothing, but others of their source "
    "may have: *without source* is the error of a fit that has seen none of them. A constant that the remaining "
    "rows do not fix keeps its value there. How the constants were chosen, and what that leaves open: "
    "[calibration](../explanation/calibration.md)."
)
_INTERVALS = (
    "Intervals of constants of the least-squares fit are two standard errors to either side, by the jackknife "
    "over groups or over rows, whichever is wider; those of shares end at 1. The others' are ranges in the data. A "
    "percentage under *fixed by* is a row's share of the leverage; the rows shown hold half of it."
)


def wafer_section(content: Mapping[str, Any]) -> Section:
    """Every published row of a wafer-scale system.

    Parameters
    ----------
    content :
        What `wse-sim validate --json` prints, here as in the other functions.
    """
    rows = [
        (r["id"], r["model"], f"{r['num_systems']} {r['system']}", *_rates(r), *(_error(r[name]) for name in _ERRORS))
        for r in content["rows"]
        if r["side"] == "wafer"
    ]
    numbers = ("batch", "published", "predicted", "error", "without row", "without group")
    title = "Wafer: published and simulated sequences/s"
    return Section(title=title, header=("id", "model", "system", *numbers), rows=rows, right=numbers)


def gpu_section(content: Mapping[str, Any]) -> Section:
    """Every published row of a GPU cluster."""
    rows = [
        (r["id"], r["release"], *_rates(r)[1:], *(_error(r[name]) for name in _ERRORS), _use(r))
        for r in content["rows"]
        if r["side"] == "gpu"
    ]
    numbers = ("published", "predicted", "error", "without row", "without source")
    title = "GPU: published and simulated tokens/s per GPU"
    return Section(title=title, header=("id", "program", *numbers, "used"), rows=rows, right=numbers)


def sources_section(content: Mapping[str, Any]) -> Section:
    """Errors of the GPU rows, as shipped, source by source."""
    rows = []
    for group in dict.fromkeys(r["group"] for r in content["rows"] if r["side"] == "gpu"):
        found, n_fitted = content["errors_by_group"][group], sum(r["used_to_fit"] for r in _of_group(content, group))
        without = [
            abs(r["error_without_group"]) for r in _of_group(content, group) if r["error_without_group"] is not None
        ]
        errors = signed_percent(found["mean_error"]), percent(found["mean_abs_error"]), percent(found["max_abs_error"])
        blind = percent(sum(without) / len(without)) if without else _NONE
        rows.append((group, str(found["n_rows"]), str(n_fitted), *errors, blind))
    numbers = ("rows", "of the fit", "mean", "mean |error|", "largest", "without source")
    title = "GPU: errors by source"
    return Section(title=title, header=("source", *numbers), rows=rows, right=numbers)


def constants_section(content: Mapping[str, Any], side: str) -> Section:
    """Every fitted constant of a side: what it means, its interval, and the rows that fixed it."""
    rows = [
        (c["name"], c["meaning"], plain_number(c["value"]), _interval(c), _fixed_by(c))
        for c in content["fitted_constants"]
        if c["side"] == side
    ]
    header = ("constant", "meaning", "value", "interval", "fixed by")
    title = f"{'GPU' if side == 'gpu' else 'Wafer'}: fitted constants"
    return Section(title=title, header=header, rows=rows, right=("value",))


def summary_lines(content: Mapping[str, Any]) -> list[str]:
    """Number of rows, mean and largest error, of each kind of row."""
    return [
        f"{name}: {e['n_rows']} rows, mean |error| {percent(e['mean_abs_error'])}, "
        f"largest {percent(e['max_abs_error'])}"
        for name, e in content["errors"].items()
    ]


def large_errors(content: Mapping[str, Any]) -> list[str]:
    """The wafer rows that are missed by more than `LARGE_ERROR`, as shipped and left out of the fit."""
    lines = []
    for name, words in _ERRORS.items():
        found = {r["id"]: r[name] or 0.0 for r in content["rows"] if r["side"] == "wafer"}
        large = [f"{row} {_error(error)}" for row, error in found.items() if abs(error) > LARGE_ERROR]
        lines.append(f"{words}: {', '.join(large) or 'none'}")
    return lines


def large_gpu_errors(content: Mapping[str, Any]) -> list[str]:
    """The GPU rows that are missed by more than `LARGE_ERROR` as shipped, by source."""
    lines: dict[str, list[str]] = {}
    for r in content["rows"]:
        if r["side"] == "gpu" and abs(r["error"]) > LARGE_ERROR:
            lines.setdefault(r["group"], []).append(f"{r['id'].split(' ', 1)[1]} {_error(r['error'])}")
    return [
        f"{group}, {len(rows)} of {len(_of_group(content, group))}: {', '.join(rows)}" for group, rows in lines.items()
    ]


def shown_elsewhere(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `data/validation/shown.json` holds of it: words, for pages that cannot wait for the fits."""
    sections = {"wafer": wafer_section(content), "gpu": sources_section(content)}
    return {"lines": summary_lines(content), **{side: asdict(of_side) for side, of_side in sections.items()}}


def page(content: Mapping[str, Any], figure: str) -> str:
    """The page in Markdown.

    Parameters
    ----------
    figure :
        Path of the figure from the page.
    """
    parts = [
        "# Validation: the simulator against published throughput",
        f"Made by `{_COMMAND}`; not edited by hand.",
        _MEANING,
        _bullets(summary_lines(content)),
        f"![Predicted against published throughput, and the error of each row]({figure})",
        section_markdown(wafer_section(content)),
        f"{_NONE}: not in the least-squares fit, because the row fixed the factor of its release.",
        section_markdown(constants_section(content, "wafer")),
        _INTERVALS,
        section_markdown(sources_section(content)),
        "*of the fit*: rows that the fit sees. *mean* has its sign. *without source*: mean |error| of a fit that has "
        "seen no row of the source. The ids begin with the source.",
        section_markdown(constants_section(content, "gpu")),
        "Constants that are tied move with the one that they are tied to. Under *fixed by*: shares of the sources.",
        "## Open problems",
        f"Wafer rows that are missed by more than {100 * LARGE_ERROR:.0f} %:",
        _bullets(large_errors(content)),
        f"GPU rows that are missed by more than {100 * LARGE_ERROR:.0f} % as shipped:",
        _bullets(large_gpu_errors(content)),
        section_markdown(gpu_section(content)),
        "## Sources",
        _bullets(_sources(content["rows"])),
    ]
    return "\n\n".join(parts) + "\n"


def _rates(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["batch_size"]), significant(row["published"], 4), significant(row["predicted"], 4)


def _use(row: Mapping[str, Any]) -> str:
    return "fit" if row["used_to_fit"] else "predicted"


def _of_group(content: Mapping[str, Any], group: str) -> list[Mapping[str, Any]]:
    return [row for row in content["rows"] if row["group"] == group]


def _error(error: float | None) -> str:
    return _NONE if error is None else signed_percent(error)


def _interval(constant: Mapping[str, Any]) -> str:
    if constant["low"] is None:
        return _NONE
    return f"{significant(constant['low'])} – {significant(constant['high'])}"


def _fixed_by(constant: Mapping[str, Any]) -> str:
    shares = (f"{row} ({100 * share:.0f} %)" for row, share in constant["leverages"].items())
    return constant["fixed_by"] or ", ".join(shares)


def _sources(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Each source with what it says; of GPU rows, what their ids begin with."""
    ids: dict[str, dict[str, None]] = {}
    for row in rows:
        ids.setdefault(row["source"], {})[row["id"].split()[0]] = None
    return (f"{', '.join(found)}: {source}" for source, found in ids.items())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
