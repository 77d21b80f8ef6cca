"""A sweep in a terminal, in the words of its page."""

import math

from wse_sim.report.sweep_words import MAIN_FIGURES
from wse_sim.sweeps.shown import best_section, common_keys
from wse_sim.sweeps.sweep import Row, Sweep


def test_losses_that_were_measured_say_their_unit_and_budgets_are_times() -> None:
    points = tuple({"model": "111m", "density": density, "budget": 20.0} for density in (1.0, 0.25))
    names = (*MAIN_FIGURES["measured"], "measured_bits_per_byte")
    sweep = Sweep(kind="measured", points=points, results=names)
    losses = (2.1805274, 2.238)
    rows = [
        Row(number, results=dict(zip(names, (loss, 49.3, 1374.0, 30.9, loss / math.log(2)), strict=True)))
        for number, loss in enumerate(losses)
    ]
    best = best_section(sweep, rows, "measured_val_loss")
    assert best.header[:3] == ("density", "measured val loss, nats/byte", "measured time here")
    assert [cells[:3] for cells in best.rows] == [("1", "2.1805", "49.3 s"), ("0.25", "2.2380", "49.3 s")]
    assert common_keys(sweep, rows) == "model 111m, budget 20 s"
