"""Which engine runs a program: the fastest that can, or the one that was asked for."""

from typing import Literal, get_args

import numpy as np

from wse_sim.engine.max_plus import can_run, max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.errors import SpecError
from wse_sim.processes.memory import require_memory
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.step_size import BYTES_PER_TASK

Engine = Literal["max-plus", "des", "reference"]
_REFERENCE_BYTES_PER_TASK = 400  # objects, most of them events
ENGINES: tuple[Engine, ...] = get_args(Engine)


def choose_engine(program: Program, asked: str | None = None) -> Engine:
    """The engine called `asked`; None = max-plus where every server's order is fixed, else the event engine.

    Raises
    ------
    SpecError
        When there is no such engine, or it cannot run the program.
    """
    if asked is None:
        return "max-plus" if can_run(program) else "des"
    for engine in ENGINES:
        if engine == asked:
            if engine == "max-plus" and not can_run(program):
                raise SpecError(
                    "the max-plus engine cannot run half-duplex links, whose order is decided at run time: use des"
                )
            return engine
    raise SpecError(f"unknown engine {asked!r}: known are {', '.join(ENGINES)}")


def finish_times(program: Program, engine: Engine) -> Finish:
    """Finish time of every task.

    Raises
    ------
    SpecError
        When there is no memory for so many.
    """
    _require_memory(program, engine)
    if engine == "max-plus":
        return run_max_plus(program)
    if engine == "des":
        from wse_sim.engine.des import run_des

        return run_des(program)
    from wse_sim.engine.reference import run_reference

    return run_reference(program)


def ends_of_steps_ps(program: Program, engine: Engine) -> IntArray:
    """(n_steps,): the instant at which the last leaf has served the last tile of each step.

    Raises
    ------
    SpecError
        When there is no memory for so many tasks in the engine `reference`, which keeps them all.
    """
    if engine == "max-plus":
        return max_plus_step_ends_ps(program)
    if engine == "des":
        from wse_sim.engine.des import des_step_ends_ps

        return des_step_ends_ps(program)
    _require_memory(program, engine)
    from wse_sim.engine.reference import run_reference

    return step_ends_ps(program, run_reference(program))


def _require_memory(program: Program, engine: Engine) -> None:
    bytes_per_task = _REFERENCE_BYTES_PER_TASK if engine == "reference" else BYTES_PER_TASK
    n_tasks, other = program.n_tasks, ", or the engine max-plus or des," if engine == "reference" else ""
    require_memory(
        n_tasks * bytes_per_task,
        f"{n_tasks:,} tasks in the engine {engine} take",
        lambda free: f"at most {int(free / bytes_per_task):,} (fewer steps, systems or micro-batches){other} would fit",
    )


def steady_step_ps(ends_ps: IntArray) -> float:
    """Time from the end of one step to the end of the next, once the pipe is full: the mean over the later steps.

    The first half fills the pipe; without jitter all later steps are alike.
    """
    n_skipped = len(ends_ps) // 2
    return float(np.diff(ends_ps[n_skipped:]).mean())


def verify_against_another(program: Program, finish: Finish, engine: Engine) -> Engine:
    """The name of a second engine, which gives the same finish time for every task.

    Raises
    ------
    AssertionError
        When it gives another: one of the two is wrong.
    """
    other: Engine = "reference" if engine == "des" else "des"
    if not finish_times(program, other).same_times_as(finish):
        raise AssertionError(f"engines {engine} and {other} disagree about a finish time")
    return other
