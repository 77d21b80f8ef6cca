"""What the pages of the benchmarks have in common: the machine, and goals beside what was measured."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from wse_sim.processes.limits import cpu_name
from wse_sim.report.quantities import data_size, duration, factor, percent, signed_percent, significant
from wse_sim.report.tables import Section

Row = dict[str, Any]

_VERSIONS = ("python", "wse-sim", "numba", "numpy", "simpy")  # that are told
_SHOWN: dict[str, Callable[[float], str]] = {
    "ratio": factor,
    "duration": duration,
    "cost": signed_percent,
    "error": percent,
    "bytes": data_size,
    "rate": lambda per_s: f"{significant(per_s)}/s",
}


def machine() -> Row:
    """Where this runs, and with what."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _VERSIONS[1:]},
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def in_words(of: Mapping[str, Any]) -> str:
    """A machine as a part of a sentence."""
    load = "" if of["load_average"] is None else f", load {of['load_average']:.1f}"
    return f"{of['cpu']}, {of['cpus']} CPUs{load}; " + ", ".join(f"{name} {of[name]}" for name in _VERSIONS)


def at_least(goal: str, unit: str, measured: float, bound: float) -> Row:
    """A goal of which more is better; `unit` says how its figures are shown."""
    return {"goal": goal, "unit": unit, "at_least": bound, "measured": measured, "is_met": measured >= bound}


def at_most(goal: str, unit: str, measured: float, bound: float) -> Row:
    """A goal of which less is better."""
    return {"goal": goal, "unit": unit, "at_most": bound, "measured": measured, "is_met": measured <= bound}


def goals_section(rows: Sequence[Row]) -> Section:
    """Goals as a table."""
    cells = []
    for row in rows:
        shown = _SHOWN[row["unit"]]
        bound = f"≥ {shown(row['at_least'])}" if "at_least" in row else f"≤ {shown(row['at_most'])}"
        cells.append((row["goal"], bound, shown(row["measured"]), "yes" if row["is_met"] else "NO"))
    header = ("goal", "asked", "measured", "met")
    return Section(title="Goals", header=header, rows=cells, right=header[1:3])
