"""Rates that were measured, on wafers and on GPUs, as the fit takes them: `linear.Row`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from wse_sim.calibration.linear import LogError
from wse_sim.gpu.layout import Job, Layout, Layouts
from wse_sim.gpu.search import known_to_run
from wse_sim.gpu.step import step_parts_s, total
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class WaferRate:
    """A run on a cluster, and its sequences per second."""

    id: str
    group: str
    run: Run
    cluster: Cluster
    samples_per_s: float

    def near(self, constants: Mapping[str, float]) -> LogError:
        microbatch = plan_step(self.run, self._cluster(constants)).microbatch
        run = replace(self.run, microbatch=microbatch)

        def log_error(constants: Mapping[str, float]) -> float:
            predicted = run.batch_size / step_time_s(run, self._cluster(constants))
            return math.log(predicted / self.samples_per_s)

        return log_error

    def _cluster(self, constants: Mapping[str, float]) -> Cluster:
        cluster = self.cluster
        for name, value in constants.items():
            cluster = cluster.with_constant(name, value)
        return cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRate:
    """A job on GPUs, and its tokens per second and GPU.

    Parameters
    ----------
    fixed :
        What is known of its layout.
    """

    id: str
    group: str
    job: Job
    fixed: Layout
    tokens_per_s_per_gpu: float

    def near(self, constants: Mapping[str, float]) -> LogError:
        job = self.job.with_numbers(constants)
        layouts = known_to_run(job, self.fixed).layouts
        here = self._log_error(job, layouts)

        def log_error(constants: Mapping[str, float]) -> float:
            other = self.job.with_numbers(constants)
            return here if other == job else self._log_error(other, layouts)

        return log_error

    def _log_error(self, job: Job, layouts: Layouts) -> float:
        step_s = float(total(step_parts_s(job, layouts))[0])
        return math.log(job.batch_size * job.seq_len / step_s / job.num_gpus / self.tokens_per_s_per_gpu)
