"""What `wse-sim bench engine` shows: the goals beside what was measured, as tables and as a page in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from wse_sim.cli.bench_goals import Row, at_least, at_most, goals_section, in_words
from wse_sim.cli.engine_speed import (
    DES,
    DES_BARE,
    DES_KERNEL,
    DES_KERNEL_RECORDING,
    FAST_FORWARD,
    MAX_PLUS,
    MAX_PLUS_KERNEL,
    MAX_PLUS_KERNEL_RECORDING,
)
from wse_sim.report.quantities import data_size, duration, factor, significant
from wse_sim.report.tables import Section, section_markdown

_NONE = "–"
_RATIO_GOALS = (
    (DES, "times_reference", 400.0),
    (DES, "times_lean", 100.0),
    (DES_KERNEL, "times_cpp", 0.8),
    (MAX_PLUS_KERNEL, "times_cpp", 0.5),
)
_YARDSTICKS = {"times_reference": "the reference", "times_lean": "lean SimPy", "times_cpp": "C++"}
_TIME_GOALS = ((DES, 60e-3), (MAX_PLUS, 6e-3), (FAST_FORWARD, 0.3e-3))
_LEAST_DES_RATIO = 5.0  # of max-plus
_MOST_GROWTH = 1.25
_MOST_BARE, _MOST_RECORDING = 0.02, 0.10
_MOST_BYTES_PER_STEP = 16.0  # the end of each step, and the copy of it that is given back


def goals(content: Mapping[str, Any]) -> list[Row]:
    """Name, kind of figure, bound (`at_least` or `at_most`), figure and verdict of every goal that was measured."""
    rows = {row["engine"]: row for row in content["engines"]}
    seconds = {name: row["cpu_s"] for name, row in rows.items()}
    found = [
        at_least(f"{name} against {_YARDSTICKS[ratio]}", "ratio", rows[name][ratio], bound)
        for name, ratio, bound in _RATIO_GOALS
        if ratio in rows.get(name, {})
    ]
    found.append(at_least(f"{MAX_PLUS} against {DES}", "ratio", seconds[DES] / seconds[MAX_PLUS], _LEAST_DES_RATIO))
    found += [at_most(f"{name}, the step", "duration", seconds[name], bound) for name, bound in _TIME_GOALS]
    found += _recording_goals(seconds)
    for name in dict.fromkeys(row["engine"] for row in content["growth"]):
        times = [row["cpu_s"] / row["tasks"] for row in content["growth"] if row["engine"] == name]
        what = f"{name}, time per task of the longest run over the shortest"
        found.append(at_most(what, "ratio", times[-1] / times[0], _MOST_GROWTH))
    for row in content["memory"]:
        what = f"{row['engine']}, memory of a further step"
        found.append(at_most(what, "bytes", row["bytes_per_further_step"], _MOST_BYTES_PER_STEP))
    return found


def sections(content: Mapping[str, Any]) -> list[Section]:
    """The tables: goals and contestants, and growth and memory where they were measured."""
    found = [goals_section(content["goals"])] if content["goals"] else []
    found.append(_engines_section(content["engines"]))
    if content["growth"]:
        found.append(_growth_section(content["growth"]))
    if content["memory"]:
        found.append(_memory_section(content["memory"]))
    return found


def notes(content: Mapping[str, Any]) -> list[str]:
    """What was timed, where and how."""
    step, simpy = content["step"], content["simpy_step"]
    lines = [
        f"The step: {step['model']} on {step['num_csx']} {step['system']}, {step['n_tiles']} tiles a pass, "
        f"{step['tasks']:,} tasks. SimPy runs the same step with {simpy['n_tiles']} tiles a pass, "
        f"{simpy['tasks']:,} tasks; ratios are of the time per task.",
        "Engines include their set-up in Python, kernels do not. All gave the same times before they were timed. Where "
        "a kernel records, it has the memory already; a recording engine gets it first, 8 bytes a task.",
        f"Measured: CPU time, best of {content['runs']} interleaved rounds; {in_words(content['machine'])}.",
    ]
    missing = [name for key, name in _YARDSTICKS.items() if not any(key in row for row in content["engines"])]
    if missing:
        lines.append(f"Without {' and '.join(missing)}: they need --twins tests/benchmarks of a checkout, and g++.")
    return lines


def page(content: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    flags = f"--runs {content['runs']}" + " --full" * bool(content["growth"])
    command = f"wse-sim bench engine {flags} --markdown > docs/results/engine_speed.md"
    parts = ["# Speed of the engines", f"Made by `{command}`; not edited by hand.", *notes(content)]
    return "\n\n".join([*parts, *(section_markdown(section) for section in sections(content))]) + "\n"


def _recording_goals(seconds: Mapping[str, float]) -> list[Row]:
    pairs = [
        (DES_KERNEL_RECORDING, DES_KERNEL, _MOST_RECORDING),
        (MAX_PLUS_KERNEL_RECORDING, MAX_PLUS_KERNEL, _MOST_RECORDING),
        (DES_KERNEL, DES_BARE, _MOST_BARE),
    ]
    return [
        at_most(f"{slow}, against {fast}", "cost", seconds[slow] / seconds[fast] - 1, bound)
        for slow, fast, bound in pairs
        if fast in seconds
    ]


def _engines_section(rows: Sequence[Row]) -> Section:
    cells = [
        (
            row["engine"],
            f"{row['tasks']:,}",
            duration(row["cpu_s"]),
            _ns_per_task(row),
            significant(row["tasks_per_s"] / 1e6),
            *(factor(row[key]) if key in row else _NONE for key in _YARDSTICKS),
        )
        for row in rows
    ]
    header = ("engine", "tasks", "CPU time", "ns/task", "M tasks/s", *(f"× {name}" for name in _YARDSTICKS.values()))
    return Section(title="Engines and kernels", header=header, rows=cells, right=header[1:])


def _growth_section(rows: Sequence[Row]) -> Section:
    cells = [(row["engine"], f"{row['tasks']:,}", duration(row["cpu_s"]), _ns_per_task(row)) for row in rows]
    header = ("engine", "tasks", "CPU time", "ns/task")
    return Section(title="Growth: many coarse steps in one run", header=header, rows=cells, right=header[1:])


def _memory_section(rows: Sequence[Row]) -> Section:
    cells = [
        (row["engine"], data_size(row["one_step_bytes"]), data_size(row["bytes_per_further_step"])) for row in rows
    ]
    header = ("engine", "one coarse step", "each further step")
    return Section(title="Peak memory of a run that records nothing", header=header, rows=cells, right=header[1:])


def _ns_per_task(row: Row) -> str:
    return significant(row["cpu_s"] / row["tasks"] * 1e9)
