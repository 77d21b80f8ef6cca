"""Operations and plans that tests of whole runs share."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from wse_sim.engine.run_level import RunPlan, StragglerDelays, Terms
from wse_sim.spec.operations import Operations, load_operations
from wse_sim.spec.ranges import LEAST

FloatArray = npt.NDArray[np.float64]

NO_STRAGGLERS = StragglerDelays(per_work_s=0.0, mean_s=0.0)


def cluster(*, checkpoint_s: float, mtbf_s: float, **changes: Any) -> Operations:
    """One system that starts at once, and whose checkpoints of one parameter take `checkpoint_s`, but for the first."""
    nothing = dict.fromkeys(
        ("compile_s", "scheduling_s", "programming_s", "weights_s_per_parameter", "first_checkpoint_s", "detection_s"),
        0.0,
    )
    given = {"checkpoint_s_per_parameter": checkpoint_s, "system_mtbf_s": mtbf_s, "cluster_mtbf_s": math.inf}
    return replace(load_operations(), **{**nothing, **given, **changes})


def none_or_up_to(most: float) -> st.SearchStrategy[float]:
    """What a constant may be that may be 0: whatever else is no smaller than a number about the world can be."""
    return st.just(0.0) | st.floats(LEAST, most)


def young_interval_s(checkpoint_s: float, mtbf_s: float) -> float:
    """Work between two checkpoints that costs least, to first order.

    Source: Young, CACM 17(9), 1974.
    """
    return math.sqrt(2 * checkpoint_s * mtbf_s)


def segmented(*, work_s: FloatArray, checkpoint_s: FloatArray, **given: Any) -> RunPlan:
    """A plan of these segments; what is not given of its terms costs nothing."""
    nothing = dict.fromkeys(("compile_s", "bring_up_s", "restart_s", "first_checkpoint_s", "checkpoint_s"), 0.0)
    terms: dict[str, Any] = {**nothing, "failures_per_s": 0.0, "stragglers": NO_STRAGGLERS, **given}
    return RunPlan(terms=Terms(**terms), work_s=work_s, checkpoint_s=checkpoint_s)


def with_terms(plan: RunPlan, **changes: Any) -> RunPlan:
    """The same plan with other terms."""
    return replace(plan, terms=replace(plan.terms, **changes))


def hour_plan(failures_per_s: float, interval_s: float = 600.0, **changes: Any) -> RunPlan:
    """Ten hours of steps of 1 s, 20 s per checkpoint."""
    n_segments = math.ceil(36_000 / interval_s)
    return segmented(
        compile_s=1_000.0,
        bring_up_s=200.0,
        restart_s=500.0,
        work_s=np.full(n_segments, 36_000 / n_segments),
        checkpoint_s=np.full(n_segments, 20.0),
        failures_per_s=failures_per_s,
        **changes,
    )
