"""Which steps a trace shows: the steady one, some of them, or the first ones from a cold start."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from wse_sim.engine.result import Finish
from wse_sim.engine.run import choose_engine, finish_times
from wse_sim.errors import SpecError
from wse_sim.report.metrics import SimulationResult
from wse_sim.schedule.program import Program
from wse_sim.schedule.weight_streaming import WARM_STEPS, StepPlan, with_steps
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.run import Run
from wse_sim.spec.written import plain

MOST_TASKS = 125_000_000  # whose finish times take 1 GB

Number = TypeVar("Number", bound=np.generic)


class SimulatedStep(Protocol):
    """What a trace is drawn from: `wse_sim.simulation.Simulation` is one."""

    @property
    def run(self) -> Run: ...
    @property
    def cluster(self) -> Cluster: ...
    @property
    def plan(self) -> StepPlan: ...
    @property
    def finish(self) -> Finish: ...
    @property
    def result(self) -> SimulationResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSteps:
    """The steps that a trace shows.

    Parameters
    ----------
    n_steps :
        How many.
    first :
        The first of them, from 1, which starts with empty buffers; None = any, once the pipe is full.

    Raises
    ------
    SpecError
        When one is below 1.
    """

    n_steps: int = 1
    first: int | None = None

    def __post_init__(self) -> None:
        if self.n_steps < 1 or (self.first is not None and self.first < 1):
            raise SpecError("trace steps: a number of at least 1, such as 3, or the first and the last, such as 1:3")

    @property
    def n_needed(self) -> int:
        """Steps that must be simulated, at least."""
        return (WARM_STEPS if self.first is None else self.first) + self.n_steps - 1


def parse_trace_steps(text: str) -> TraceSteps:
    """The steps that `text` names: `3`, as many steady ones; `1:3`, the first to the third from a cold start.

    Raises
    ------
    SpecError
        When it names none.
    """
    words = text.split(":")
    try:
        numbers = [int(plain(word)) for word in words]
    except ValueError:
        numbers = [0]
    if len(numbers) > 2 or min(numbers) < 1:
        raise SpecError(f"trace steps are {text!r}: write a number such as 3, or the first and the last such as 1:3")
    first, last = numbers[0], numbers[-1]
    return TraceSteps(n_steps=first) if len(numbers) == 1 else TraceSteps(n_steps=last - first + 1, first=first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Consecutive steps of a program that was run.

    Parameters
    ----------
    first :
        From 0.
    """

    program: Program
    finish: Finish
    first: int
    n_steps: int

    def of(self, of_all_steps: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """The part, of equal parts for every step along the last axis, that belongs to these."""
        per_step = of_all_steps.shape[-1] // self.program.n_steps
        return of_all_steps[..., self.first * per_step : (self.first + self.n_steps) * per_step]


def window(simulation: SimulatedStep, steps: TraceSteps) -> Window:
    """These steps of a simulation; run again over more steps where it had too few.

    Raises
    ------
    SpecError
        When that would take more than `MOST_TASKS` tasks.
    """
    program, finish = simulation.plan.program, simulation.finish
    if steps.n_needed > program.n_steps:
        n_tasks = program.n_tasks // program.n_steps
        if steps.n_needed * n_tasks > MOST_TASKS:
            raise SpecError(
                f"trace steps: {steps.n_needed:,} steps of {n_tasks:,} tasks must be simulated, the most is "
                f"{MOST_TASKS:,} tasks; {max(program.n_steps, MOST_TASKS // n_tasks):,} steps would be right"
            )
        program = with_steps(program, simulation.run, steps.n_needed)
        finish = finish_times(program, choose_engine(program, simulation.result.engine["name"]))
    first = program.n_steps - steps.n_steps if steps.first is None else steps.first - 1
    return Window(program=program, finish=finish, first=first, n_steps=steps.n_steps)
