"""The SimPy reference is the oracle: the compiled engine gives the same finish time for every task."""

from hypothesis import given, settings

from tests.engine.programs import programs
from wse_sim.engine.des import run_des
from wse_sim.engine.reference import run_reference
from wse_sim.schedule.program import Program


@settings(max_examples=400, deadline=None)
@given(programs())
def test_des_matches_reference_to_the_tick(program: Program) -> None:
    assert run_des(program).same_times_as(run_reference(program))
