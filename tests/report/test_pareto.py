"""Points and fronts as they are drawn."""

from dataclasses import replace

from wse_sim.report.pareto import Figure, Point, pareto

LESS = Figure(name="cost", in_words=str)


def test_a_difference_that_a_seed_makes_does_not_fill_an_axis() -> None:
    loss = Figure(name="loss", in_words="{:.3f}".format, least_span=0.1)
    points = {"a": [Point(0, 1.0, 2.600)], "b": [Point(1, 1.5, 2.636)]}
    narrow, wide = (
        pareto(points, LESS, figure, named_point=str, salt="s").wide for figure in (loss, replace(loss, least_span=0.0))
    )
    assert "2.700" in narrow
    assert "2.700" not in wide


def test_an_axis_says_that_it_is_logarithmic_and_the_legend_what_a_pale_mark_is() -> None:
    points = {"a": [Point(0, 1.0, 1.0), Point(1, 1.5, 9.0)]}
    drawn = pareto(points, LESS, replace(LESS, name="time"), named_point=str, salt="s").wide
    assert ">cost</text>" in drawn
    assert ">time, logarithmic</text>" in drawn
    assert ">beaten by another</text>" in drawn
    points = {"a": [Point(0, 1.0, 9.0), Point(1, 1.5, 1.0)]}  # nothing beats either
    assert "beaten" not in pareto(points, LESS, LESS, named_point=str, salt="s").wide
