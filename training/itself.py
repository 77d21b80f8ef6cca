"""The target itself as a run here, because the user asked for it: its configuration, and what that will take."""

from typing import Any

import msgspec

from training.config import InitFrom, TrainConfig
from training.configured import said_of_training
from training.distributed import n_local_processes
from training.execution import Execution, device_at_hand
from training.host import Host
from training.job import Job, target_base
from training.machine import MachineProfile, suited_precision
from training.proxy import intervals, n_threads_for
from wse_sim.errors import SpecError
from wse_sim.workload.flops import attention_flops, linear_flops, logits_flops, training_flops_per_token
from wse_sim.workload.transformer import linear_weights

_SUSTAINED_OVER_BEST = 1.25  # norms, attention and reading batches, beside matrix products of the best size
# Two expansions, a gather and an update: 4.3 processor seconds for the 2.5e9 block weights of Cerebras-GPT 2.7B at
# density 0.25, measured (docs/results/streaming.md).
_STORE_S_PER_WEIGHT = 1.7e-9
_FEW_STEPS = 16  # evaluated and saved at the end alone
_MOST_EVALUATED = 256
_EVALUATED_PER_TRAINED = 4  # held-out sequences of an evaluation: it takes about as long as a step


def config_of_itself(job: Job, profile: MachineProfile) -> TrainConfig:
    """The configuration in which the target itself trains here, by the job's mode.

    Raises
    ------
    SpecError
        When the device is not there, or the budget is too short for one step and no number of steps is given.
    """
    host, shape = job.host, job.preset.shape
    base = target_base(job)
    if host.peak_lr is not None:
        base = msgspec.structs.replace(base, peak_lr=host.peak_lr, source=f"{base.source}; peak_lr as given")
    batch_size = host.batch_size or host.microbatch or job.batch_size
    execution = execution_of(host, profile)
    n_steps = host.steps or _steps_in_budget(job, profile, batch_size, execution)
    return config_of_target(
        job,
        profile,
        n_steps,
        base=base,
        batch_size=batch_size,
        clip=host.clip,
        n_eval_sequences=min(_MOST_EVALUATED, _EVALUATED_PER_TRAINED * batch_size),
        **({"eval_interval": n_steps, "checkpoint_interval": n_steps} if n_steps < _FEW_STEPS else {}),
        n_threads=max(1, n_threads_for(shape, profile.n_cpus) // n_local_processes()),
        **_beginning(job),
        initial_draw="philox",
        execution=execution,
    )


def _beginning(job: Job) -> dict[str, Any]:
    """What a run that begins with weights of a folder has beside others."""
    if job.start is None:
        return {}
    return {
        "init_from": InitFrom(folder=job.start.folder),
        "weight_decay_scaling": job.start.weight_decay_scaling,
    }


def config_of_target(job: Job, profile: MachineProfile, n_steps: int, **others: Any) -> TrainConfig:
    """The configuration in which the target itself trains here as it would elsewhere, but for `others`."""
    fields: dict[str, Any] = {
        "shape": job.preset.shape,
        "base": target_base(job),
        "parametrization": job.parametrization,
        "seed": job.seed,
        "density": job.density,
        "sparsity": job.algorithm(n_steps),
        "schedule": job.schedule,
        "n_steps": n_steps,
        "batch_size": job.batch_size,
        "seq_len": job.seq_len,
        "data": job.data,
        "tokenizer": job.tokenizer,
        "text_field": job.text_field,
        **intervals(n_steps),
        "n_threads": n_threads_for(job.preset.shape, profile.n_cpus),
    }
    return TrainConfig(**(fields | others | said_of_training(job, n_steps)))


def execution_of(host: Host, profile: MachineProfile) -> Execution:
    """How the target itself is computed here.

    Raises
    ------
    SpecError
        When a GPU is asked for and there is none.
    """
    device = device_at_hand(host.device)
    is_streaming = host.mode == "full"
    return Execution(
        executor="streaming" if is_streaming else "dense",
        device=device,
        precision=host.precision
        or suited_precision(
            fp32_flops_per_s=profile.matmul_flops_per_s, bf16_flops_per_s=profile.matmul_bf16_flops_per_s
        ),
        microbatch=host.microbatch,
        recompute=host.recompute or ("fitting" if is_streaming else "never"),
        compile=host.compile,
        sharding=host.sharding,
        moments=host.moments,
        store=host.store,
    )


def predicted_step_s(job: Job, profile: MachineProfile, batch_size: int, execution: Execution) -> float:
    """Seconds of one optimizer step of the target itself, from the machine's measured rates of matrix products."""
    shape = job.preset.shape
    is_streaming = execution.executor == "streaming"
    flops = training_flops_per_token(shape, job.seq_len, convention="palm")
    if execution.recompute == "always":
        flops += (linear_flops(shape) + attention_flops(shape, job.seq_len)) / 3
    if is_streaming:
        flops += logits_flops(shape) / 3  # made once more for the output layer's gradient
    rate = profile.matmul_bf16_flops_per_s if execution.precision == "bf16" else profile.matmul_flops_per_s
    store_s = _STORE_S_PER_WEIGHT * linear_weights(shape) / profile.n_cpus if is_streaming else 0.0
    return _SUSTAINED_OVER_BEST * batch_size * job.seq_len * flops / rate + store_s


def _steps_in_budget(job: Job, profile: MachineProfile, batch_size: int, execution: Execution) -> int:
    step_s = predicted_step_s(job, profile, batch_size, execution)
    n_steps = int(min(job.budget_s / step_s, job.tokens / (batch_size * job.seq_len)))
    if n_steps < 1:
        raise SpecError(
            f"one step of {batch_size} sequences of {job.seq_len} would take {step_s:,.0f} s here, with "
            f"{job.budget_s:,.0f} s allowed: a smaller --batch-size, --microbatch 1, a longer --budget or --steps 1 "
            "would be right"
        )
    return n_steps
