"""Which run is made here: the target itself where this machine can afford it, else a proxy of it."""

from dataclasses import dataclass, replace

import msgspec

from models.parametrization import caveats
from training.config import TrainConfig
from training.data import Reading, reading_of, require_vocabulary
from training.host import ChosenMode
from training.imported import other_tokens
from training.itself import config_of_itself, config_of_target, predicted_step_s
from training.job import Job
from training.machine import D_HEAD, MachineProfile
from training.memory import available_memory_bytes, need_line, require_memory
from training.proxy import choose_proxy, predicted_s_per_token, proxy_shape
from wse_sim.report.quantities import duration
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import Dynamic, algorithm_name
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters

_STATE_BYTES = 16  # per parameter: weight, gradient and two moments, 32 bits each
_ACTIVATION_BYTES = (
    80  # per token and channel of a block: 34 of 16-bit training, Korthikanti et al., in 32 bits, and slack
)
_OTHER_BATCH = "batch size: the published learning rates are for the target's, not the one here; --peak-lr sets another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What trains here, and why.

    Parameters
    ----------
    mode :
        `full`: the target itself, by the streaming executor; `dense`: itself, by ordinary autograd; `proxy`: a narrower
        model in its place.
    predicted_s :
        Training seconds expected on this machine.
    full_run_s, full_run_bytes :
        What the target itself would take here: time, from the measured matmul rate a lower bound, and memory.
    reasons, not_covered :
        Plain sentences: what was chosen and why, and what its result does not say about the target.
    """

    mode: ChosenMode
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
    choice = _chosen(job, profile, job.budget_s / n_runs)
    differs = job.configuration.training.differs if job.configuration else ()
    config = choice.config if job.on_nan is None else msgspec.structs.replace(choice.config, on_nan=job.on_nan)
    return replace(choice, config=config, not_covered=(*choice.not_covered, *differs))


def _chosen(job: Job, profile: MachineProfile, budget_s: float) -> Choice:
    shape = job.preset.shape
    reading = reading_of(job.data, tokenizer=job.tokenizer, text_field=job.text_field)
    full_s = job.tokens * training_flops_per_token(shape, job.seq_len) / profile.matmul_flops_per_s
    needed = _bytes_needed(shape, job.seq_len)
    if job.host.is_itself:
        require_vocabulary(job.data, reading.vocab_size, shape.vocab_size)
        return _itself(job, profile, reading, full_s=full_s, needed=needed)
    why_not = (
        "a proxy trains, as was asked"
        if job.host.mode == "proxy"
        else _why_not_itself(job, profile, budget_s=budget_s, full_s=full_s, needed=needed)
    )
    if why_not is not None:
        return _proxy(job, profile, reading, why_not, budget_s=budget_s, full_s=full_s, needed=needed)
    require_vocabulary(job.data, reading.vocab_size, shape.vocab_size)
    return _whole_run(job, profile, reading, budget_s=budget_s, full_s=full_s, needed=needed)


def _whole_run(
    job: Job, profile: MachineProfile, reading: Reading, *, budget_s: float, full_s: float, needed: float
) -> Choice:
    """All of the target's run, by ordinary autograd, because it can be afforded."""
    config = config_of_target(job, profile, max(1, round(job.tokens / (job.batch_size * job.seq_len))))
    predicted_s = _predicted_own_s(job, profile)
    return Choice(
        mode="dense",
        config=config,
        predicted_s=predicted_s,
        full_run_s=full_s,
        full_run_bytes=needed,
        reasons=(
            f"the model itself trains, dense: {predicted_s:.0f} s predicted, {budget_s:.0f} s allowed",
            *_how_masks_change(config),
        ),
        not_covered=(_of_data(reading), *caveats(job.parametrization, job.algorithm_name)),
    )


def _proxy(
    job: Job,
    profile: MachineProfile,
    reading: Reading,
    why_not: str,
    *,
    budget_s: float,
    full_s: float,
    needed: float,
) -> Choice:
    """A narrower model in the target's place."""
    proxy = choose_proxy(
        job.preset,
        profile,
        density=job.density,
        budget_s=budget_s,
        tokens_per_parameter=job.tokens_per_parameter,
        parametrization=job.parametrization,
        schedule=job.schedule,
        seed=job.seed,
        data=job.data,
        tokenizer=job.tokenizer,
        text_field=job.text_field,
        reading=reading,
    )
    config = msgspec.structs.replace(proxy.config, sparsity=job.algorithm(proxy.config.n_steps), **job.warmup_fields)
    return Choice(
        mode="proxy",
        config=config,
        predicted_s=proxy.chosen.predicted_s,
        full_run_s=full_s,
        full_run_bytes=needed,
        reasons=(why_not, *proxy.reasons, *_how_masks_change(config)),
        not_covered=(*proxy.not_covered, *caveats(job.parametrization, job.algorithm_name)),
    )


def _itself(job: Job, profile: MachineProfile, reading: Reading, *, full_s: float, needed: float) -> Choice:
    """The target itself, by the executor that the job names."""
    config = config_of_itself(job, profile)
    need = require_memory(config, available_memory_bytes())
    execution, n_steps = config.execution, config.n_steps
    predicted_s = n_steps * predicted_step_s(job, profile, config.batch_size, execution)
    n_tokens = n_steps * config.tokens_per_step
    n_target_steps = job.tokens / (job.batch_size * job.seq_len)
    return Choice(
        mode="full" if execution.executor == "streaming" else "dense",
        config=config,
        predicted_s=predicted_s,
        full_run_s=full_s,
        full_run_bytes=needed,
        reasons=(
            f"{job.preset.shape.name} itself trains, as was asked, by the {execution.executor} executor on "
            f"{execution.device} in {execution.precision}: {predicted_s:,.0f} s predicted",
            f"{n_steps:,} steps of {config.batch_size} x {config.seq_len} tokens, {_share(n_tokens / job.tokens)} the "
            f"tokens of the target's {n_target_steps:,.0f} steps of {job.batch_size} x {job.seq_len}",
            need_line(need),
            *_where_it_begins(job),
            *_how_masks_change(config),
        ),
        not_covered=(
            *(() if config.batch_size == job.batch_size else (_OTHER_BATCH,)),
            *(() if job.start is None else other_tokens(job.start, reading)),
            _of_data(reading),
            *caveats(job.parametrization, _chosen_by(job)),
        ),
    )


def _share(of_tokens: float) -> str:
    share = f"{of_tokens:.2g}"
    if share == "1":
        return "all of"
    return f"{share} of" if of_tokens < 1 else f"{share} times"


def _of_data(reading: Reading) -> str:
    if reading.is_bytes:
        return "data: bytes of the corpus named, not the Pile"
    return "data: tokens of the corpus named; the projected loss is one on the Pile, in tokens of GPT-2"


def _why_not_itself(job: Job, profile: MachineProfile, *, budget_s: float, full_s: float, needed: float) -> str | None:
    """Why the target cannot train here, in a sentence; None when it can."""
    shape = job.preset.shape
    itself = f"{shape.name} itself would take {duration(full_s)} and {needed / 1e9:.1f} GB here"
    if needed > profile.memory_bytes:
        less = "; --mode full, which keeps non-zeros alone, needs less" if job.density < 1 else ""
        here = f"{profile.memory_bytes / 1e9:.1f} GB of memory at hand"
        return f"{itself}, with {here}: a proxy trains in its place{less}"
    if _predicted_own_s(job, profile) > budget_s:
        return f"{itself}, with {budget_s:.0f} s allowed: a proxy trains in its place"
    if shape.logits_fraction != 1:
        return (
            f"{shape.name} is an encoder, and decoders alone train here: a decoder of its proportions does in its place"
        )
    return None


def _predicted_own_s(job: Job, profile: MachineProfile) -> float:
    """Training seconds of the target here: its FLOPs at the measured rate of a proxy of its width."""
    shape = job.preset.shape
    narrow = proxy_shape(shape, max(D_HEAD, shape.d_model // D_HEAD * D_HEAD))
    flops_per_s = training_flops_per_token(narrow, narrow.seq_len) / predicted_s_per_token(narrow, profile)
    return job.tokens * training_flops_per_token(shape, job.seq_len) / flops_per_s


def _where_it_begins(job: Job) -> tuple[str, ...]:
    """Sentences; none where weights are drawn."""
    start = job.start
    if start is None:
        return ()
    begins = f"it begins with the weights of {start.folder}, in {job.parametrization}"
    if job.density == 1.0 and start.density is not None and start.density < 1.0:
        return (begins, f"their density is {start.density:.6g}, and zeros train too: --mask-init from_zeros keeps them")
    return (begins,)


def _chosen_by(job: Job) -> str:
    """What chose the masks, as `caveats` asks for it."""
    is_by_size = any(algorithm.init_method == "topk" for algorithm in job.start_sparsity or ())
    return "topk" if is_by_size else job.algorithm_name


def _how_masks_change(config: TrainConfig) -> tuple[str, ...]:
    """A sentence; none where they do not."""
    algorithm = next((each for each in config.algorithms if isinstance(each, Dynamic)), None)
    if algorithm is None or algorithm.update is None or algorithm.update.freq is None:
        return ()
    name, freq = algorithm_name(algorithm), algorithm.update.freq
    return (f"masks change by {name} every {freq} steps, as often in the course of the run as the target's",)


def _bytes_needed(shape: ModelShape, seq_len: int) -> float:
    """Memory of ordinary dense training with one sequence at a time."""
    return _STATE_BYTES * n_parameters(shape) + _ACTIVATION_BYTES * seq_len * shape.d_model * shape.n_layers
