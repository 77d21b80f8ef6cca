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
