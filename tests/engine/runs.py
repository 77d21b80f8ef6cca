"""Operations and plans that tests of whole runs share."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from wse_sim.engine.run_level import RunPlan
from wse_sim.spec.operations import Operations, load_operations


def cluster(*, checkpoint_s: float, mtbf_s: float, **changes: Any) -> Operations:
    """One system that starts at once, and whose checkpoints of one parameter take `checkpoint_s`, but for the first."""
    nothing = dict.fromkeys(
        ("compile_s", "scheduling_s", "programming_s", "weights_s_per_parameter", "first_checkpoint_s", "detection_s"),
        0.0,
    )
    given = {"checkpoint_s_per_parameter": checkpoint_s, "system_mtbf_s": mtbf_s, "cluster_mtbf_s": math.inf}
    return replace(load_operations(), **{**nothing, **given, **changes})


def hour_plan(failures_per_s: float, interval_s: float = 600.0, **changes: Any) -> RunPlan:
    """Ten hours of steps of 1 s, 20 s per checkpoint."""
    n_segments = math.ceil(36_000 / interval_s)
    return RunPlan(
        compile_s=1_000.0,
        bring_up_s=200.0,
        restart_s=500.0,
        work_s=np.full(n_segments, 36_000 / n_segments),
        checkpoint_s=np.full(n_segments, 20.0),
        failures_per_s=failures_per_s,
        **changes,
    )
