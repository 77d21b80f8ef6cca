"""The page of a plan, from the content of plan.json."""

import re
from typing import Any

import msgspec
import pytest

from tests.planning.questions import question
from tests.report.test_html import Document
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.planner import plan_of
from wse_sim.planning.search import search
from wse_sim.planning.space import Space
from wse_sim.report.plan_figures import pareto_plot
from wse_sim.report.plan_page import plan_page
from wse_sim.report.sensitivity import Ends
from wse_sim.report.tornado import tornado

DENSITIES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.1)


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    space = Space(systems=("cs3",), num_csx=(4,), batch_sizes=(512,), densities=DENSITIES, tokens_per_parameter=(20.0,))
    content: dict[str, Any] = msgspec.to_builtins(plan_of(search(question(), space, Constraints())))
    return content


def test_every_density_of_the_front_is_drawn_and_named(plan: dict[str, Any]) -> None:
    """Eight of them, one configuration each: the page has colours for six."""
    assert {row["density"] for row in plan["front"]} == set(DENSITIES)
    drawn = pareto_plot(plan).wide
    names = re.findall(r">(dense|density [\d.]+|to book)<", drawn)
    assert names == ["dense", *(f"density {density:g}" for density in DENSITIES[1:]), "to book"]
    marks = re.findall(r'<use [^>]*style="fill: (var\(--series-\d\)); fill-opacity: 0\.7"', drawn)
    assert len(marks) == len(plan["front"])


def test_a_tornado_leaves_out_the_bars_that_nobody_would_see() -> None:
    ends = [Ends("wide", 1.0, 2.0, 7.0, 9.0), Ends("seen", 1.0, 2.0, 7.9, 8.0), Ends("unseen", 1.0, 2.0, 7.99, 8.0)]
    drawn = tornado(ends, at=8.0, result="days", shown="{:g}".format, salt="bars")
    assert [row[0] for row in drawn.rows] == ["wide", "seen"]
    assert "unseen" not in drawn.wide


def test_a_plan_that_knows_its_command_says_it(plan: dict[str, Any]) -> None:
    page = plan_page({**plan, "command": "wse-sim plan --model 2.7b"})
    assert "To do it again" in page
    assert "wse-sim plan --model 2.7b" in "".join(Document(page).words)
    assert "To do it again" not in plan_page(plan)  # of an older version
