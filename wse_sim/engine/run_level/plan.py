"""A run, cut into segments."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.engine.run_level.interval import chosen_checkpoint_steps
from wse_sim.engine.run_level.terms import Terms, terms
from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations

FloatArray = npt.NDArray[np.float64]

MOST_SEGMENTS = 10**7  # of one run; playing it takes about 150 bytes for each


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run as it goes when nothing fails and nobody straggles, and what a failure and a straggler cost.

    Parameters
    ----------
    work_s, checkpoint_s : (n_segments,)
        Steps of each segment, and the checkpoint that ends it.
    """

    terms: Terms
    work_s: FloatArray
    checkpoint_s: FloatArray


def plan_run(
    operations: Operations,
    *,
    step_s: float,
    n_steps: int,
    n_parameters: int,
    n_systems: int,
    checkpoint_steps: int | None = None,
) -> RunPlan:
    """The run of `n_steps` steps on `n_systems` systems, with a checkpoint at step 0, at intervals and at its end.

    Parameters
    ----------
    n_systems :
        What fails on its own: CS systems, or servers with eight GPUs.
    checkpoint_steps :
        Steps between two checkpoints; None takes what `operations` say, else the best interval, which without failures
        is the whole run.

    Raises
    ------
    SpecError
        When there are no steps, none between two checkpoints, a step takes no time, no interval lets the run end, or
        there are more than `MOST_SEGMENTS`.
    """
    if n_steps < 1 or (checkpoint_steps is not None and checkpoint_steps < 1):
        raise SpecError(f"{n_steps} steps, a checkpoint every {checkpoint_steps}: both must be at least 1")
    if not step_s > 0:
        raise SpecError("every step must take time")
    if checkpoint_steps is None:
        checkpoint_steps = chosen_checkpoint_steps(
            operations, step_s=step_s, n_steps=n_steps, n_parameters=n_parameters, n_systems=n_systems
        )
    if n_steps / checkpoint_steps > MOST_SEGMENTS:
        raise SpecError(
            f"{n_steps:.3g} steps with a checkpoint every {checkpoint_steps:,} have more than {MOST_SEGMENTS:.0e} "
            f"checkpoints, too many to simulate: one every {-(-n_steps // MOST_SEGMENTS):,} steps or more, or at most "
            f"{checkpoint_steps * MOST_SEGMENTS:.3g} steps, would be right"
        )
    saved_at = np.append(np.arange(0, n_steps, checkpoint_steps), n_steps)
    of_run = terms(operations, n_parameters=n_parameters, n_systems=n_systems)
    return RunPlan(
        terms=of_run,
        work_s=np.diff(saved_at * step_s, prepend=0.0),
        checkpoint_s=np.where(saved_at == 0, of_run.first_checkpoint_s, of_run.checkpoint_s),
    )
