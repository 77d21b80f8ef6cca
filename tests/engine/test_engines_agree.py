"""The SimPy reference is the oracle: every other engine gives the same finish time for every task."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings

from tests.engine.programs import many_steps, programs
from wse_sim.engine.des import des_step_ends_ps, run_des
from wse_sim.engine.max_plus import can_run, max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.reference import run_reference
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.schedule.program import Program

# Each engine with what it can run, how it records every finish time, and how it gives the ends of the steps alone.
Engine = tuple[Callable[[Program], bool], Callable[[Program], Finish], Callable[[Program], np.ndarray]]
ENGINES: list[Engine] = [
    (lambda program: True, run_des, des_step_ends_ps),
    (can_run, run_max_plus, max_plus_step_ends_ps),  # the ends by fast-forward
]


def assert_engines_agree(program: Program) -> None:
    expected = run_reference(program)
    for can, run, ends_ps in ENGINES:
        if can(program):
            assert run(program).same_times_as(expected)
            assert ends_ps(program).tolist() == step_ends_ps(program, expected).tolist()


@settings(max_examples=1000)
@given(programs())
def test_engines_agree_to_the_tick(program: Program) -> None:
    assert_engines_agree(program)


@settings(max_examples=60)
@given(many_steps())
def test_engines_agree_over_many_turns_of_every_ring(program: Program) -> None:
    assert_engines_agree(program)
