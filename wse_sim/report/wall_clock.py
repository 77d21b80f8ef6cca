"""The time of a whole run over its step time: start, steps, checkpoints, failures and restarts, in one account."""

from dataclasses import dataclass
from typing import Any

from wse_sim.engine.run_level import (
    asked_checkpoint_steps,
    best_checkpoint_interval,
    expected_failures,
    expected_parts_s,
    plan_run,
    simulate_runs,
)
from wse_sim.spec.operations import Operations
from wse_sim.spec.sourced import Sourced


@dataclass(frozen=True, slots=True, kw_only=True)
class WallClock:
    """Time of a whole run with its start, stragglers, checkpoints, failures and restarts.

    Parameters
    ----------
    parts_s :
        Expected, by what it is spent on (`engine.run_level.PARTS`).
    p5_s, p95_s :
        Percentiles of the whole, over drawn failures.
    n_failures :
        Expected.
    checkpoint_steps, checkpoint_interval_s :
        From one checkpoint to the next.
    checkpoint_loss :
        Fraction by which the run takes longer than with the best interval: with `half` and `double` that interval, and
        with the `chosen` one.
    assumed, assumed_constants :
        Constants of the operation for which nothing better than an assumption is known.
    """

    parts_s: dict[str, float]
    p5_s: float
    p95_s: float
    n_failures: float
    checkpoint_steps: int
    checkpoint_interval_s: float
    checkpoint_loss: dict[str, float]
    assumed: list[str]
    assumed_constants: dict[str, Sourced]

    @property
    def total_s(self) -> float:
        """Expected time of the whole run."""
        return sum(self.parts_s.values())

    @property
    def goodput(self) -> float:
        """Share of it in which steps are made that count."""
        return self.parts_s["useful"] / self.total_s

    def as_fields(self) -> dict[str, Any]:
        """What any run on a cluster says of it, by field of a result."""
        return {
            "wall_clock_s": self.total_s,
            "wall_clock_p5_s": self.p5_s,
            "wall_clock_p95_s": self.p95_s,
            "wall_clock_parts_s": self.parts_s,
            "goodput": self.goodput,
            "n_failures_expected": self.n_failures,
            "checkpoint_interval_s": self.checkpoint_interval_s,
            "assumed_operations_constants": self.assumed_constants,
        }


def wall_clock(
    operations: Operations, *, step_s: float, n_steps: float, n_parameters: int, n_systems: int, seed: int
) -> WallClock:
    """Time of a whole run of such steps, with its start, checkpoints, failures and restarts.

    Parameters
    ----------
    n_parameters :
        That a checkpoint holds.
    n_systems :
        What fails on its own: CS systems, or servers with eight GPUs.
    seed :
        Of the drawn failures.

    Raises
    ------
    SpecError
        When failures do not let the run end.
    """
    known: dict[str, Any] = {
        "step_s": step_s,
        "n_steps": max(1, round(n_steps)),
        "n_parameters": n_parameters,
        "n_systems": n_systems,
    }
    best = best_checkpoint_interval(operations, **known)
    steps = asked_checkpoint_steps(operations, step_s=step_s, n_steps=known["n_steps"]) or best.steps
    plan = plan_run(operations, **known, checkpoint_steps=steps)
    parts_s, drawn = expected_parts_s(plan), simulate_runs(plan, seed=seed)
    chosen_loss = sum(parts_s.values()) / best.run_s - 1 if steps != best.steps else 0.0
    return WallClock(
        parts_s=parts_s,
        p5_s=drawn.percentile_s(5),
        p95_s=drawn.percentile_s(95),
        n_failures=expected_failures(plan),
        checkpoint_steps=steps,
        checkpoint_interval_s=steps * step_s,
        checkpoint_loss={"half": best.loss_at_half, "double": best.loss_at_double, "chosen": chosen_loss},
        assumed=operations.assumed,
        assumed_constants=operations.assumed_constants,
    )
