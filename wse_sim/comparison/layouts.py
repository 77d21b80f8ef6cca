"""The layouts that were tried on the GPUs, and the wall that those hit which do not fit."""

import numpy as np

from wse_sim.gpu.layout import Job, Layout
from wse_sim.gpu.search import Found, search
from wse_sim.report.comparison import GpuLayout


def gpu_layouts(job: Job, fixed: Layout, n: int) -> tuple[GpuLayout, ...]:
    """The `n` fastest layouts that fit, and behind them the `n` fastest that do not.

    Raises
    ------
    SpecError
        When nothing is like `fixed`.
    """
    found = search(job, fixed)
    n_fitting = int(found.fits.sum())
    places = (*range(min(n, n_fitting)), *range(n_fitting, min(n_fitting + n, len(found.layouts))))
    return tuple(_row(job, found, i) for i in places)


def _row(job: Job, found: Found, i: int) -> GpuLayout:
    step_time_s = float(found.step_s[i])
    return GpuLayout(
        **found.layouts.layout(i).on(job.num_gpus),
        step_time_s=step_time_s,
        tokens_per_s_per_gpu=job.batch_size * job.seq_len / step_time_s / job.num_gpus,
        memory_bytes_per_gpu=float(np.sum([part[i] for part in found.memory_bytes.values()])),
        wall=found.wall(job, i),
    )
