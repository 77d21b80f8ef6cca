"""Every engine against the SimPy reference, value by value: how many are compared, and how many differ."""

from collections.abc import Callable, Iterator

import numpy as np

from wse_sim.engine.des import des_step_ends_ps, run_des
from wse_sim.engine.max_plus import can_run, max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.reference import run_reference
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.schedule.program import IntArray, Program

# Each engine with what it can run, how it records every finish time, and how it gives the ends of the steps alone.
Engine = tuple[Callable[[Program], bool], Callable[[Program], Finish], Callable[[Program], np.ndarray]]
ENGINES: dict[str, Engine] = {
    "des": (lambda program: True, run_des, des_step_ends_ps),
    "max-plus": (can_run, run_max_plus, max_plus_step_ends_ps),  # the ends by fast-forward
}


def compared(program: Program) -> dict[str, tuple[int, int]]:
    """By engine that can run the program: finish times and step ends compared with SimPy's, and how many differ."""
    expected = run_reference(program)
    ends_ps = step_ends_ps(program, expected)
    found = {}
    for name, (can, run, run_ends) in ENGINES.items():
        if can(program):
            pairs = [*zip(_times(expected), _times(run(program)), strict=True), (ends_ps, run_ends(program))]
            found[name] = (sum(ours.size for ours, _ in pairs), sum(map(_n_differing, pairs)))
    return found


def _times(finish: Finish) -> Iterator[IntArray]:
    yield from finish.feed
    yield from (finish.down, finish.compute, finish.drain, finish.up, finish.reduce, finish.update)


def _n_differing(pair: tuple[IntArray, IntArray]) -> int:
    expected, found = pair
    return int(np.count_nonzero(expected != found)) if expected.shape == found.shape else max(expected.size, found.size)
