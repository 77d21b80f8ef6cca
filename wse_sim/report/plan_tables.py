"""A plan as tables for a terminal, from the content of plan.json."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from wse_sim.engine.run_level import MOST_FAILURES
from wse_sim.report.headline import cluster
from wse_sim.report.quantities import carbon, counted, duration, energy, money, named_density, percent, significant
from wse_sim.report.tables import Section, plain_number, section_table

Content = Mapping[str, Any]

SHOWN_ROWS = 12
SHOWN_BARS = 10
_NAMED_LATE = 3
_WIDTH = 16
_WAYS_OUT = {  # by the wall
    "wafer memory": "the wafer's memory is too small: a smaller --microbatch would help",
    "activation servers": "the activation servers are too small: a smaller --microbatch would help",
    "MemoryX capacity": "MemoryX is too small: another --system or a lower --density would help",
    "critical batch size": "the batch is beyond the critical size: a smaller --batch-size or a larger --tpp would help",
    "failures": f"failures do not let the run end, more than {MOST_FAILURES:,.0f} are expected: a longer --system-mtbf "
    "or --cluster-mtbf, fewer systems or a shorter --checkpoint-interval would help",
}
LIMITS = {
    "deadline_s": ("deadline", duration),
    "max_cost_usd": ("cost", money),
    "max_power_w": ("power", lambda watts: f"{significant(watts / 1e3)} kW"),
    "max_energy_j": ("energy", energy),
    "max_carbon_kg": ("carbon", carbon),
    "target_loss": ("loss", lambda loss: f"{loss:.4g}"),
    "max_csx": ("systems", lambda n: f"{n:g}"),
}


def plan_tables(plan: Content) -> Iterator[RenderableType]:
    """The answer, the front, what was rejected and why, what the days hang on, and what to know before booking."""
    yield from answer(plan)
    yield ""
    if plan["front"]:
        yield section_table(front_section(plan))
        yield ""
    yield section_table(rejected_section(plan))
    if plan["tornado"]:
        yield ""
        yield section_table(tornado_section(plan))
    yield ""
    yield "Before you book"
    for caveat in plan["caveats"]:
        yield f"- {caveat}"
    yield f"- {len(plan['assumed'])} assumed constants: {', '.join(plan['assumed'])}"


def answer(plan: Content) -> list[str]:
    """The verdict, how sure its days are, and the cheapest within the limits where the verdict is not about cost."""
    return [verdict(plan), *_at_the_ends(plan), *_cheapest(plan)]


def _at_the_ends(plan: Content) -> Iterator[str]:
    if plan["best"] is None or not plan["tornado"]:
        return
    least_s, most_s = (pick(pick(ends_s(bar)) for bar in plan["tornado"]) for pick in (min, max))
    said = f"With one constant at an end of its range it takes {duration(least_s)} to {_or_never(most_s)}"
    deadline_s = plan["constraints"]["deadline_s"] or math.inf
    late = [bar["constant"] for bar in plan["tornado"] if max(ends_s(bar)) > deadline_s]
    more = f" and {len(late) - _NAMED_LATE} more" if len(late) > _NAMED_LATE else ""
    yield said + (f", more than the deadline for {', '.join(late[:_NAMED_LATE])}{more}." if late else ".")


def _cheapest(plan: Content) -> Iterator[str]:
    if not plan["front"] or plan["objective"] == "cost":
        return
    row = _cheapest_row(plan["front"])
    yield (
        "None of them is cheaper." if row == plan["best"] else f"The cheapest of them is {named(row)}: {figures(row)}."
    )


def _cheapest_row(front: Sequence[Content]) -> Content:
    """Of all candidates that keep to the limits: it is on the front, since nothing dominates it."""
    return min(front, key=lambda row: (row["cost_usd"], row["wall_clock_s"], row["loss"]))


def verdict(plan: Content) -> str:
    """What to book, or what is missed by how much, in a sentence."""
    asked = ", ".join(f"{name} {limit}" for name, limit in limits(plan).items())
    if plan["best"] is not None:
        best = plan["best"]
        aims = {"time": "is the fastest", "systems": "has the fewest systems", "cost": "is the cheapest"}
        aim = aims.get(plan["objective"], f"has the least {plan['objective']}")
        among = counted(plan["n_feasible"], "candidate") + (f" within {asked}" if asked else "")
        return f"Book {named(best)}: {figures(best)}. It {aim} of {among}."
    if plan["nearest_miss"] is None:
        wall, n_rejected = next(iter(plan["rejected"].items()))  # the one that rejects most
        return (
            f"Nothing fits: none of {counted(plan['n_candidates'], 'candidate')} does, whatever the limits. "
            f"For {n_rejected:,} of them {_WAYS_OUT[wall]}."
        )
    near = plan["nearest_miss"]
    missed = ", ".join(f"{LIMITS[name][0]} {_by(excess)}" for name, excess in near["missed"].items())
    return f"Nothing keeps to {asked}. The nearest miss is {named(near)}: {figures(near)}. It misses {missed}."


def named(row: Content) -> str:
    """The configuration of a row."""
    return (
        f"{cluster(row)}, batch {row['batch_size']} ({row['microbatch']} at a time), {named_density(row['density'])}, "
        f"{row['tokens_per_parameter']:g} tokens per parameter, {row['schedule']}"
    )


def figures(row: Content) -> str:
    """What a row costs and brings."""
    return (
        f"{duration(row['wall_clock_s'])}, {money(row['cost_usd'])}, {energy(row['energy_j'])}, projected loss "
        f"{row['loss']:.3f} nats/token ({row['loss_low']:.3f} … {row['loss_high']:.3f})"
    )


def limits(plan: Content) -> dict[str, str]:
    """The constraints that the user gave, by name and in words."""
    return {LIMITS[name][0]: LIMITS[name][1](limit) for name, limit in plan["constraints"].items() if limit}


def _by(excess: float) -> str:
    """By how much a limit is missed; a percentage says little beyond the tenfold."""
    return f"by {percent(excess)}" if excess < 9 else f"at {significant(1 + excess)} times the limit"


def front_section(plan: Content) -> Section:
    """Rows of the front, spread over it, with the best one, which is marked, and the cheapest."""
    front, best = plan["front"], plan["best"]
    header = ("", "system", "batch", "at a time", "density", "schedule", "TPP", "wall clock", "cost", "energy", "loss")
    step = max(1, -(-len(front) // SHOWN_ROWS))
    named_rows = (best, _cheapest_row(front)) if front else ()
    rows = [front_cells(row, is_best=row == best) for i, row in enumerate(front) if i % step == 0 or row in named_rows]
    title = (
        f"Pareto front in wall clock, cost (simulated) and loss (projected, nats/token): {len(rows)} of {len(front)}, "
        f"by the event engine; closed form within {percent(plan['largest_closed_form_error'])}"
    )
    return Section(title=title, header=header, rows=rows, right=header[2:5] + header[6:])


def front_cells(row: Content, *, is_best: bool) -> tuple[str, ...]:
    return (
        "→" if is_best else "",
        cluster(row),
        f"{row['batch_size']}",
        f"{row['microbatch']}",
        f"{row['density']:g}",
        row["schedule"],
        f"{row['tokens_per_parameter']:g}",
        duration(row["wall_clock_s"]),
        money(row["cost_usd"]),
        energy(row["energy_j"]),
        f"{row['loss']:.3f}",
    )


def rejected_section(plan: Content) -> Section:
    """How many candidates hit which wall, or missed which constraint most."""
    n = plan["n_candidates"]
    rows = [
        (LIMITS[name][0] if name in LIMITS else name, f"{count:,}", percent(count / n))
        for name, count in plan["rejected"].items()
    ]
    rows.append(("kept", f"{plan['n_feasible']:,}", percent(plan["n_feasible"] / n)))
    header = ("rejected by", "candidates", "share")
    return Section(title=counted(n, "candidate"), header=header, rows=rows, right=header[1:])


def tornado_section(plan: Content) -> Section:
    """How far each assumption's range moves the days, the widest first."""
    shown: Sequence[Content] = plan["tornado"][:SHOWN_BARS]
    spans = [_span_s(bar) for bar in shown]
    widest_s = max((span_s for span_s in spans if span_s < math.inf), default=1.0)
    rows = [
        (
            bar["constant"],
            f"{plain_number(bar['low'])} – {plain_number(bar['high'])}",
            *map(_or_never, ends_s(bar)),
            "█" * max(1, round(_WIDTH * min(1.0, span_s / widest_s))),
        )
        for bar, span_s in zip(shown, spans, strict=True)
    ]
    header = ("assumption", "range", "at low", "at high", "")
    return Section(title="What the wall clock hangs on, in closed form", header=header, rows=rows, right=header[2:4])


def ends_s(bar: Content) -> tuple[float, float]:
    """The wall clock at the low and the high end of a constant's range; infinite where failures leave no end."""
    low_s, high_s = bar["wall_clock_s_at_low"], bar["wall_clock_s_at_high"]
    return math.inf if low_s is None else low_s, math.inf if high_s is None else high_s


def leaves_no_end(bar: Content) -> bool:
    """Whether failures do not let the run end at one end of the constant's range."""
    return math.inf in ends_s(bar)


def _span_s(bar: Content) -> float:
    return math.inf if leaves_no_end(bar) else abs(bar["wall_clock_s_at_high"] - bar["wall_clock_s_at_low"])


def _or_never(wall_clock_s: float) -> str:
    return "never ends" if wall_clock_s == math.inf else duration(wall_clock_s)
