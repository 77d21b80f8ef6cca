"""Which run is made here: the target itself where this machine can afford it, else a proxy of it."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import msgspec

from models.parametrization import BASES
from training.config import TrainConfig
from training.job import Job, target_base
from training.machine import D_HEAD, MachineProfile
from training.proxy import BASE, SHARE_OF_BUDGET, choose_proxy, predicted_s_per_token, proxy_shape
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters

_DENSE_STATE_BYTES = 16  # weight, gradient and two moments, 32 bits each
_ACTIVATION_BYTES = 80  # per token and channel of a block trained in 32 bits, twice the 34 of 16-bit training and slack
_N_EVALUATIONS = 8

Mode = Literal["dense", "proxy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What trains here, and why.

    Parameters
    ----------
    mode :
        `dense`: the target itself, with ordinary autograd; `proxy`: a narrower model in its place.
    predicted_s :
        Training seconds expected on this machine.
    full_run_s, full_run_bytes :
        What the target itself would take here: a lower bound of the time, from the measured matmul rate, and the memory.
    reasons, not_covered :
        Plain sentences: what was chosen and why, and what the result does not say about the target.
    """

    mode: Mode
    config: TrainConfig
    predicted_s: float
    full_run_s: float
    full_run_bytes: float
    reasons: tuple[str, ...]
    not_covered: tuple[str, ...]


def choose_run(job: Job, profile: MachineProfile, *, n_runs: int = 1) -> Choice:
    """The most faithful run that fits the job's budget on the machine.

    Parameters
    ----------
    n_runs :
        Runs that share the budget, all with the same model, so that their losses can be compared.
    """
    shape = job.preset.shape
    full_s = job.tokens * training_flops_per_token(shape, job.seq_len) / profile.matmul_flops_per_s
    needed = _bytes_needed(shape, job.seq_len)
    budget_s = job.budget_s / n_runs
    own_s = _predicted_own_s(job, profile)
    if own_s is not None and own_s <= SHARE_OF_BUDGET * budget_s and needed <= profile.memory_bytes:
        return _itself(job, profile, own_s, full_s, needed)
    proxy = choose_proxy(
        job.preset,
        profile,
        density=job.density,
        budget_s=budget_s,
        tokens_per_parameter=job.tokens_per_parameter,
        schedule=job.schedule,
        seed=job.seed,
        data=job.data,
    )
    config = msgspec.structs.replace(proxy.config, parametrization=job.parametrization)
    return Choice(
        mode="proxy",
        config=config,
        predicted_s=proxy.chosen.predicted_s,
        full_run_s=full_s,
        full_run_bytes=needed,
        reasons=(_why_not_itself(job, profile, full_s, needed), *proxy.reasons),
        not_covered=proxy.not_covered,
    )
