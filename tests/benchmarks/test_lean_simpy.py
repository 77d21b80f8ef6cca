"""The yardstick keeps the rules."""

from hypothesis import given, settings

from tests.benchmarks.lean_simpy import run_lean_simpy
from tests.engine.programs import programs
from wse_sim.engine.reference import run_reference
from wse_sim.schedule.program import Program


@settings(max_examples=150)
@given(programs())
def test_lean_simpy_matches_the_reference(program: Program) -> None:
    assert run_lean_simpy(program).same_times_as(run_reference(program))
