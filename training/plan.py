"""What is known before a run trains: the target simulated, its loss projected, and what is chosen to train here."""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from training.as_started import require_as_started
from training.choice import Choice, choose_run
from training.config import CONFIG_FILE, read_config
from training.execution import OnNan
from training.job import Job, read_job
from training.machine import MachineProfile
from training.run_record import LinearClock
from wse_sim.gpu.roofline import GpuResult, simulate_gpu
from wse_sim.laws.cerebras_gpt import LossProjection, project_loss
from wse_sim.simulation import Simulation, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known before training starts.

    Parameters
    ----------
    dense :
        The target at density 1; the same object as `wafer` where that is its density.
    """

    job: Job
    profile: MachineProfile
    choice: Choice
    wafer: Simulation
    dense: Simulation
    gpu: GpuResult
    projected: LossProjection
    projected_dense: LossProjection

    @property
    def clock(self) -> LinearClock:
        """Simulated seconds of the target at any fraction of the way of the run here."""
        return LinearClock(
            wafer_run_s=self.share * self.wafer.result.run_time_s, gpu_run_s=self.share * self.gpu.run_time_s
        )

    @property
    def share(self) -> float:
        """Of the target's tokens, that its simulated time here is of: all, where a proxy stands for the whole run."""
        config = self.choice.config
        return config.n_steps * config.tokens_per_step / self.job.tokens if self.job.host.is_itself else 1.0

    def with_reasons(self, reasons: tuple[str, ...]) -> "Plan":
        """The same, with more sentences on what was chosen."""
        return replace(self, choice=replace(self.choice, reasons=(*self.choice.reasons, *reasons)))


def make_plan(job: Job, profile: MachineProfile, *, n_runs: int = 1) -> Plan:
    """Simulate the target, project its loss, and choose what trains here.

    Parameters
    ----------
    n_runs :
        Runs that share the job's budget.

    Raises
    ------
    SpecError
        When the target does not fit onto the cluster that the job names.
    """
    shape = job.preset.shape
    wafer = simulate(job.simulated_run(job.density))
    return Plan(
        job=job,
        profile=profile,
        choice=choose_run(job, profile, n_runs=n_runs),
        wafer=wafer,
        dense=wafer if job.density == 1.0 else simulate(job.simulated_run(1.0)),
        gpu=simulate_gpu(
            shape,
            gpu=job.gpu,
            software=job.gpu_software,
            num_gpus=job.num_gpus,
            batch_size=job.batch_size,
            seq_len=job.seq_len,
            density=job.density,
            tokens=job.tokens,
        ),
        projected=project_loss(shape, density=job.density, tokens=job.tokens, seq_len=job.seq_len),
        projected_dense=project_loss(shape, density=1.0, tokens=job.tokens, seq_len=job.seq_len),
    )


def plan_of_run(run_dir: Path, profile: MachineProfile, *, n_runs: int = 1, on_nan: OnNan | None = None) -> Plan:
    """The plan of a run that is to be resumed: what it was started with, whatever the machine is like by now.

    Parameters
    ----------
    n_runs :
        As for `make_plan`.
    on_nan :
        What becomes of steps that diverge from here on; None = what was to.

    Raises
    ------
    SpecError
        When the folder holds no run, or one whose configuration is not that of its job.
    """
    job, path = read_job(run_dir), run_dir / CONFIG_FILE
    plan = make_plan(job, profile, n_runs=n_runs)
    config = read_config(path) if path.is_file() else plan.choice.config
    require_as_started(run_dir, job, config)
    if on_nan is not None:
        config = msgspec.structs.replace(config, on_nan=on_nan)
    if config == plan.choice.config:
        return plan
    reason = f"the run goes on as it was started: {config.shape.n_layers} layers of width {config.shape.d_model}"
    return replace(plan, choice=replace(plan.choice, config=config, reasons=(reason,)))
