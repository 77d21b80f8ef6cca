"""A plan as one HTML page that needs nothing but itself, from the content of plan.json."""

from collections.abc import Mapping
from typing import Any

from wse_sim.report.html_sections import opening
from wse_sim.report.markup import bullets, command_line, facts, figure, page, paragraph, section, table
from wse_sim.report.plan_figures import days_tornado, pareto_plot
from wse_sim.report.plan_tables import answer, front_section, leaves_no_end, limits, rejected_section
from wse_sim.report.quantities import count, counted
from wse_sim.report.trust_sections import OF_A_PLAN, assumed_section, validation_section
from wse_sim.spec.reading import convert
from wse_sim.spec.sourced import Sourced

Content = Mapping[str, Any]

_N_BARS = 14
_COLUMNS = (0, 1, 7, 8, 9, 10, 2, 3, 4, 5, 6)  # of the front: what it brings is seen on a phone without scrolling
_KINDS = ("", "", *["simulated"] * 3, "projected", *[""] * 5)  # of these
_PARETO_CAPTION = (
    "Configurations that keep to all constraints and that none of the others beats in wall clock, cost and projected "
    "loss. A larger mark is a lower loss."
)
_TORNADO_CAPTION = (
    "The wall clock of the configuration above with one constant at either end of its range, all others as they are; "
    "without those that move it less than a fiftieth as far as the first."
)


def plan_page(plan: Content) -> str:
    """The page; the same plan gives the same bytes."""
    title = f"What to book for {plan['model']}"
    lead = f"{count(plan['params'])} parameters, {counted(plan['n_candidates'], 'candidate')}"
    body = opening(title, lead)
    body += section("Answer", *map(paragraph, answer(plan)), facts(limits(plan).items()))
    if plan["front"]:
        body += _front(plan)
    body += _rejected(plan)
    if plan["tornado"]:
        body += _tornado(plan)
    body += section(
        "Before you book",
        bullets(plan["caveats"]),
        paragraph(f"Loss: {plan['loss_law']}."),
        paragraph(f"Money: {plan['price_basis']}; carbon: {plan['grid']}. Both of the whole wall clock."),
    )
    body += validation_section()
    known = convert(plan.get("assumed_constants", {}), dict[str, Sourced], "plan.json")
    body += assumed_section({name: known.get(name) for name in plan["assumed"]}, OF_A_PLAN)
    if plan.get("command"):  # an older version did not write it
        body += section("To do it again", command_line(plan["command"]))
    return page(f"{title}: wse-sim plan", body)


def _front(plan: Content) -> str:
    shown = front_section(plan)
    header, *rows = ([cells[column] for column in _COLUMNS] for cells in (shown.header, *shown.rows))
    return section(
        "Pareto front",
        figure(pareto_plot(plan), _PARETO_CAPTION),
        table(header, rows, label="configurations on the front", right=shown.right, kinds=_KINDS),
        paragraph(
            f"{counted(len(plan['front']), 'configuration')} on the front, all of them in plan.json and front.csv."
        ),
    )


def _tornado(plan: Content) -> str:
    endless = [bar["constant"] for bar in plan["tornado"] if leaves_no_end(bar)]
    return section(
        "What the days hang on",
        figure(days_tornado(plan, _N_BARS), _TORNADO_CAPTION),
        paragraph(f"At one end of its range failures do not let the run end: {', '.join(endless)}.") if endless else "",
    )


def _rejected(plan: Content) -> str:
    rejected = rejected_section(plan)
    return section(
        "What was rejected, and by what",
        table(rejected.header, rejected.rows, label="candidates by wall or constraint", right=rejected.right),
    )
