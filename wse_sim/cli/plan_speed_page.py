"""What `wse-sim bench plan` shows: the goals beside what was measured, as tables and as a page in Markdown."""

from collections.abc import Mapping
from typing import Any

from wse_sim.cli.bench_goals import Row, at_least, at_most, goals_section, in_words
from wse_sim.report.quantities import duration, percent, significant
from wse_sim.report.tables import Section, section_markdown
from wse_sim.schedule.estimate import NOTHING_CONTENDS

_MOST_S_PER_CONFIGURATION, _LEAST_CONFIGURATIONS_PER_S = 10e-6, 1e5
_LEAST_ROWS_PER_S = 2e4
_MOST_PLAN_S, _MOST_SWEEP_S = 5.0, 10.0
_MOST_ERROR = 0.02


def goals(content: Mapping[str, Any]) -> list[Row]:
    """Name, kind of figure, bound (`at_least` or `at_most`), figure and verdict of every goal."""
    closed, sweep, plan = content["closed_form"], content["event_sweep"], content["plan"]
    per_s, table = closed["configurations_per_s"], content["closed_form_sweep"]
    return [
        at_most("closed form, a configuration", "duration", 1.0 / per_s, _MOST_S_PER_CONFIGURATION),
        at_least("closed form, configurations on one core", "rate", per_s, _LEAST_CONFIGURATIONS_PER_S),
        at_least("closed form, rows of a sweep's CSV", "rate", table["rows"] / table["cpu_s"], _LEAST_ROWS_PER_S),
        at_most(f"plan, {plan['candidates']:,} candidates", "duration", plan["wall_s"], _MOST_PLAN_S),
        at_most(f"sweep, {sweep['points']:,} steps by the event engine", "duration", sweep["wall_s"], _MOST_SWEEP_S),
        at_most(
            "closed form, largest error where nothing contends",
            "error",
            sweep["largest_closed_form_error"],
            _MOST_ERROR,
        ),
    ]


def sections(content: Mapping[str, Any]) -> list[Section]:
    """The tables: goals, and all that was measured."""
    found = [goals_section(content["goals"])] if content["goals"] else []
    closed, gpus, sweep, plan = (content[name] for name in ("closed_form", "gpus", "event_sweep", "plan"))
    table = content["closed_form_sweep"]
    rows = [
        _row("configurations on wafers, in closed form", closed["configurations"], closed),
        _row("wse-sim sweep --engine closed-form, rows of a CSV", table["rows"], table),
        _row("layouts of jobs on GPUs", gpus["layouts"], gpus),
        _row("jobs on GPUs, all layouts of each", gpus["jobs"], gpus),
        _row(f"wse-sim sweep, steps by the event engine on {sweep['processes']} cores", sweep["points"], sweep),
        _row("wse-sim plan, candidates", plan["candidates"], plan),
    ]
    header = ("what", "how many", "CPU time", "start to exit", "per CPU second")
    return [*found, Section(title="Rates", header=header, rows=rows, right=header[1:])]


def notes(content: Mapping[str, Any]) -> list[str]:
    """What was timed, where and how."""
    sweep = content["event_sweep"]
    return [
        "Closed form: arrays of sizes in, arrays of figures out, over four models, two kinds of system and five "
        "densities; masks that were not drawn before, the fastest micro-batch chosen. GPUs: every layout of four "
        "models on three kinds and numbers of GPUs. Commands are whole processes, and the CPU time is that of all "
        "their processes. Rates are per second of CPU time.",
        "The simulated sweep has distinct full steps of four models, five densities, five numbers of systems and ten "
        f"shares of a batch. The closed form of the same points: contention below {NOTHING_CONTENDS:g} in "
        f"{sweep['points_where_nothing_contends']:,} of {sweep['points']:,}, largest error there "
        f"{percent(sweep['largest_closed_form_error'])}, in all {percent(sweep['largest_closed_form_error_of_all'])}.",
        f"Measured: best of {content['runs']} rounds; {in_words(content['machine'])}.",
    ]


def page(content: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    command = f"wse-sim bench plan --runs {content['runs']} --markdown > docs/results/plan_speed.md"
    parts = ["# Speed of plans and sweeps", f"Made by `{command}`; not edited by hand.", *notes(content)]
    return "\n\n".join([*parts, *(section_markdown(section) for section in sections(content))]) + "\n"


def _row(what: str, n: int, of: Mapping[str, Any]) -> tuple[str, ...]:
    wall = duration(of["wall_s"]) if "wall_s" in of else "–"
    return what, f"{n:,}", duration(of["cpu_s"]), wall, significant(n / of["cpu_s"])
