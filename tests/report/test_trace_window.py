"""Which steps a trace shows."""

import numpy as np
import pytest

from tests.report.test_trace import MANY, UNEQUAL, simulated
from wse_sim.errors import SpecError
from wse_sim.report import trace_window
from wse_sim.report.trace_window import TraceSteps, parse_trace_steps, window


def test_steps_beyond_those_simulated_are_simulated_and_go_on_as_the_ones_before() -> None:
    done = simulated(**UNEQUAL)  # jitter makes every step another
    assert done.plan.program.n_steps == 32
    longer = window(done, parse_trace_steps("31:40"))
    assert longer.program.n_steps == 40
    per_step = done.plan.program.tiles_per_step
    assert np.array_equal(longer.finish.compute[:, : 32 * per_step], done.finish.compute)
    assert longer.of(longer.finish.compute).shape == (3, 10 * per_step)


def test_too_many_steps_are_refused_with_the_number_that_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    done = simulated(**MANY)
    n_tasks = done.plan.program.n_tasks // done.plan.program.n_steps
    monkeypatch.setattr(trace_window, "MOST_TASKS", 10 * n_tasks)
    assert window(done, TraceSteps(n_steps=8)).n_steps == 8
    with pytest.raises(SpecError, match=r"11 steps of .* must be simulated.* 10 steps would be right"):
        window(done, TraceSteps(n_steps=9))


@pytest.mark.parametrize("text", ["", "0", "x", "3:2", "0:2", "1:2:3", "-1", "1.5"])
def test_steps_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"trace steps"):
        parse_trace_steps(text)
