"""What a run must leave behind, and what it must not need."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.engine.programs import chain
from wse_sim.engine import des
from wse_sim.engine.des import des_step_ends_ps, run_des
from wse_sim.engine.reference import run_reference
from wse_sim.schedule.program import Program

SLOTS = ("node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots", "drain_slots")


@pytest.mark.parametrize("engine", [run_des, des_step_ends_ps])
@pytest.mark.parametrize("slots", SLOTS)
def test_program_without_a_slot_is_a_deadlock(engine: Callable[[Program], object], slots: str) -> None:
    program = chain(drain_ps=[1])
    object.__setattr__(program, slots, 0)  # a Program refuses this
    with pytest.raises(RuntimeError, match="deadlock"):
        engine(program)


def test_task_left_at_work_or_a_clock_gone_back_is_noticed() -> None:
    program = chain()
    for place, value in ((des.WENT_BACK, 1), (des.HEAP_SIZE, 1), (des._HEAD + des.FREE_AT, des._NEVER)):
        memory = des._run_checked(program, np.empty(0, np.int64))
        memory[place] = value
        with pytest.raises(AssertionError, match="lost count"):
            des._check_conservation(program, memory)


def test_memory_grows_by_eight_bytes_a_step() -> None:
    few, many = (chain(n_tiles=4, n_microbatches=3, n_steps=n) for n in (10, 10_010))
    assert des._memory(many).nbytes - des._memory(few).nbytes == 8 * 10_000
    assert des._heap(many).nbytes == des._heap(few).nbytes


def test_wire_decides_at_most_twice_for_each_tile_it_carries() -> None:
    """A tile ready far in the future, on a wire that gradients keep busy, asks once: so the heap has room for all."""
    slots = dict.fromkeys(("gradient_slots", "up_slots", "reduce_slots"), 400)
    program = chain(
        n_tiles=400, latency_ps=[10**6], has_weights=[1, 0], has_gradient=[1, 1], is_half_duplex=True, **slots
    )
    finish = run_des(program)
    assert finish.same_times_as(run_reference(program))
    assert finish.n_events - program.n_tasks <= 2 * (finish.down.size + finish.up.size)
