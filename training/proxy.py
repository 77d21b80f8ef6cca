"""Chooses the model that trains in place of one too large for the machine at hand."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from models.parametrization import BASES, ParametrizationName
from training.config import N_EVAL_SEQUENCES, TrainConfig
from training.data import STDLIB, Reading
from training.data.source import BYTE_VALUES
from training.machine import D_HEAD, MEASURED_LAYERS, MachineProfile
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelPreset, ModelShape
from wse_sim.spec.run import TOKENS_PER_PARAMETER
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters

SEQ_LEN = 128
BATCH_SIZE = 8
VOCAB_SIZE = BYTE_VALUES
_BYTES = Reading()
_FORWARD = 1 / 3  # of the time of a step, which goes backward twice as long
# A long run is slower than the best of a few steps: reading batches, saving, another program now and then.
_SUSTAINED_OVER_BEST = 1.25
# On a narrow model threads wait for one another longer than they work: at width 96 two free cores take 20 ms a step,
# one takes 26 ms, and two of which one is busy elsewhere take 160 ms and more (docs/notebook.md).
_NARROWEST_FOR_THREADS = 256
_MOST_THREADS = 8
_THREAD_EXPONENT = 0.85  # n threads take n^-0.85 of the time of one
_FEWEST_LAYERS = 2
_WIDTH_STEP = 16
_WIDEST = 1024
_N_EVALUATIONS = 8
_N_CHECKPOINTS = 4
_FEWEST_ROWS, _LONGEST_LOG_INTERVAL = 200, 10  # of a run; a shorter one has a row for every step
# μP and SμPar transfer one base; standard parameterization has a rate of its own.
_BASES: dict[ParametrizationName, str] = {"sp": "bytes-64-sp", "mup": "bytes-64", "smupar": "bytes-64"}
_TRANSFERRED: dict[ParametrizationName, str] = {
    "sp": "taken as they are, by standard parameterization,",
    "mup": "transferred by μP",
    "smupar": "transferred by SμPar",
}
_KNOWN_OVER: dict[ParametrizationName, str] = {
    "sp": "standard parameterization transfers over nothing",
    "mup": "μP transfers over width alone",
    "smupar": "SμPar transfers over width and density alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One rung of the ladder.

    Parameters
    ----------
    predicted_s :
        Training seconds on the profiled machine.
    """

    shape: ModelShape
    n_params: int
    n_steps: int
    predicted_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyChoice:
    """What will train, and why.

    Parameters
    ----------
    reasons, not_covered :
        Plain sentences for the user: what was chosen and why; and what the proxy does not say about the target.
    """

    config: TrainConfig
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    not_covered: tuple[str, ...]


def choose_proxy(
    target: ModelPreset,
    profile: MachineProfile,
    *,
    density: float,
    budget_s: float = 180.0,
    tokens_per_parameter: float = TOKENS_PER_PARAMETER,
    parametrization: ParametrizationName = "smupar",
    schedule: str = "linear",
    seed: int = 0,
    data: str = STDLIB,
    tokenizer: str = "bytes",
    text_field: str = "text",
    reading: Reading = _BYTES,
) -> ProxyChoice:
    """The widest model with the target's proportions that trains within the budget.

    Parameters
    ----------
    tokens_per_parameter :
        All parameters count, embeddings and zeros too, as in the papers.
    reading :
        What the data are read as.

    Raises
    ------
    SpecError
        When the budget or the tokens per parameter are not positive.
    """
    for name, value in (("budget_s", budget_s), ("tokens_per_parameter", tokens_per_parameter)):
        if not value > 0:
            raise SpecError(f"{name} is {value}, it must be positive")
    candidates = ladder(target.shape, profile, tokens_per_parameter, reading)
    chosen = max((c for c in candidates if c.predicted_s <= budget_s), key=lambda c: c.n_params, default=candidates[0])
    config = TrainConfig(
        shape=chosen.shape,
        base=BASES[_BASES[parametrization]],
        parametrization=parametrization,
        # A proxy is so narrow and sparse that its hidden learning rates are far above the base's; unscaled, their decay
        # would forget all but the last few per cent of the run (tau = 1 / (lr x weight_decay x n_steps)).
        weight_decay_scaling="constant_lr_wd",
        density=density,
        schedule=schedule,
        seed=seed,
        data=data,
        tokenizer=tokenizer,
        text_field=text_field,
        n_steps=chosen.n_steps,
        batch_size=BATCH_SIZE,
        seq_len=chosen.shape.seq_len,
        **intervals(chosen.n_steps),
        n_threads=n_threads_for(chosen.shape, profile.n_cpus),
    )
    return ProxyChoice(
        config=config,
        chosen=chosen,
        candidates=tuple(candidates),
        reasons=_reasons(chosen, config, budget_s, tokens_per_parameter, reading),
        not_covered=_not_covered(target.shape, config, reading),
    )


def intervals(n_steps: int) -> dict[str, Any]:
    """How often a run of `n_steps` evaluates, saves and writes a row, as fields of `TrainConfig`."""
    return {
        "log_interval": min(_LONGEST_LOG_INTERVAL, max(1, n_steps // _FEWEST_ROWS)),
        "eval_interval": math.ceil(n_steps / _N_EVALUATIONS),
        "checkpoint_interval": math.ceil(n_steps / _N_CHECKPOINTS),
    }


def ladder(
    target: ModelShape, profile: MachineProfile, tokens_per_parameter: float, reading: Reading = _BYTES
) -> list[Candidate]:
    """Models of growing width with the target's ratio of layers to width, narrowest first."""
    rungs = []
    for d_model in range(D_HEAD, max(D_HEAD, min(target.d_model, _WIDEST)) + 1, _WIDTH_STEP):
        shape = proxy_shape(target, d_model, reading)
        n_params = n_parameters(shape)
        n_steps = max(1, round(tokens_per_parameter * n_params / (BATCH_SIZE * shape.seq_len)))
        n_sequences = n_steps * BATCH_SIZE + _FORWARD * min(n_steps, _N_EVALUATIONS) * N_EVAL_SEQUENCES
        seconds = n_sequences * shape.seq_len * predicted_s_per_token(shape, profile)
        rungs.append(Candidate(shape=shape, n_params=n_params, n_steps=n_steps, predicted_s=seconds))
    return rungs


def proxy_shape(target: ModelShape, d_model: int, reading: Reading = _BYTES) -> ModelShape:
    """A model of that width and of the target's family: heads as near to `D_HEAD` as they divide it.

    Its vocabulary is that of the data, and where nobody says how large that is, the target's.

    Feed-forward and layers follow the target's ratios to width, so that the proxy is a scaled-down target and not a
    slice of it; two layers at least, because the first one of a model does another job than the rest.
    """
    n_heads = _n_heads(d_model)
    return msgspec.structs.replace(
        target,
        name=f"{target.name}-proxy-{d_model}",
        n_layers=max(_FEWEST_LAYERS, round(d_model * target.n_layers / target.d_model)),
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=_n_kv_heads(n_heads, target.n_heads // target.kv_heads),
        d_ff=round(d_model * target.d_ff / target.d_model),
        vocab_size=max(VOCAB_SIZE, reading.vocab_size or target.vocab_size),
        seq_len=min(SEQ_LEN, reading.longest_seq_len or SEQ_LEN),
        logits_fraction=1.0,  # what trains here predicts the next token
    )


def _n_heads(d_model: int) -> int:
    """An even width for each head: rotary positions turn pairs."""
    divisors = [n for n in range(1, d_model + 1) if d_model % (2 * n) == 0]
    return min(divisors, key=lambda n: (abs(n - d_model / D_HEAD), n))


def _n_kv_heads(n_heads: int, n_queries_per_key: int) -> int | None:
    """As few as share a key among at most the target's number of queries; None where each query has its own."""
    shared = max(k for k in range(1, n_queries_per_key + 1) if n_heads % k == 0)
    return None if shared == 1 else n_heads // shared


def n_threads_for(shape: ModelShape, n_cpus: int) -> int:
    """CPU threads that a model of this shape trains on."""
    return 1 if shape.d_model < _NARROWEST_FOR_THREADS else min(n_cpus, _MOST_THREADS)


def predicted_s_per_token(shape: ModelShape, profile: MachineProfile) -> float:
    """Seconds per training token of a long run, from the measured widths.

    Between measured widths straight in log-log; below the narrowest as the narrowest (what is left there is Python's
    own time); above the widest as the square of the width (all matrix products). In proportion to the layers, and to
    FLOPs where the vocabulary is another one than that of bytes, with which steps were timed.
    """
    known = sorted(profile.step_rates, key=lambda rate: rate.d_model)
    narrow, wide = known[0], known[-1]
    d = shape.d_model
    if d <= narrow.d_model:
        per_token = narrow.s_per_token
    elif d >= wide.d_model:
        per_token = wide.s_per_token * (d / wide.d_model) ** 2
    else:
        upper = next(index for index, rate in enumerate(known) if rate.d_model >= d)
        a, b = known[upper - 1], known[upper]
        share = math.log(d / a.d_model) / math.log(b.d_model / a.d_model)
        per_token = a.s_per_token ** (1 - share) * b.s_per_token**share
    speed_up = float(n_threads_for(shape, profile.n_cpus) ** _THREAD_EXPONENT)
    seconds = _SUSTAINED_OVER_BEST * per_token / speed_up * shape.n_layers / MEASURED_LAYERS
    of_bytes = msgspec.structs.replace(shape, vocab_size=VOCAB_SIZE)
    flops, flops_of_bytes = (training_flops_per_token(of, shape.seq_len) for of in (shape, of_bytes))
    return seconds * (flops / flops_of_bytes)


def _reasons(
    chosen: Candidate, config: TrainConfig, budget_s: float, tokens_per_parameter: float, reading: Reading
) -> tuple[str, ...]:
    shape = chosen.shape
    n_tokens = config.n_steps * config.tokens_per_step
    budget = f"the budget of {budget_s:.0f} s"
    none_narrower = f"more than {budget}, but there is none narrower: fewer --tokens would make it shorter"
    fit = f"the widest that fits {budget}" if chosen.predicted_s <= budget_s else none_narrower
    unit = "bytes" if reading.is_bytes else "tokens"
    return (
        f"a proxy of {shape.n_layers} layers and width {shape.d_model} trains: {chosen.n_params:,} parameters, "
        f"{chosen.predicted_s:.0f} s predicted on {config.n_threads} CPU thread(s), {fit}",
        f"{tokens_per_parameter:.3g} tokens per parameter, like the target, zeros and embeddings counted: "
        f"{n_tokens:,} {unit} in {config.n_steps:,} steps of {config.batch_size} x {config.seq_len}",
        f"density {config.density:g} and the {config.schedule} schedule are the target's; learning rate and initial "
        f"weights are {_TRANSFERRED[config.parametrization]} from a dense model of width {config.base.d_base}",
        *_of_vocabulary(shape, reading),
    )


def _of_vocabulary(shape: ModelShape, reading: Reading) -> tuple[str, ...]:
    """A sentence on a vocabulary that is not that of bytes."""
    if shape.vocab_size == VOCAB_SIZE:
        return ()
    whose = "the target's, as nothing says what the data's is" if reading.vocab_size is None else "that of the data"
    return (
        f"the vocabulary of {shape.vocab_size:,} is {whose}; steps were timed on bytes, and the prediction grows with "
        "the FLOPs of the output layer",
    )


def _not_covered(target: ModelShape, config: TrainConfig, reading: Reading) -> tuple[str, ...]:
    read = "bytes of its own corpus" if reading.is_bytes else "tokens of its own corpus and vocabulary"
    return (
        f"depth: the proxy has {config.shape.n_layers} layers for {target.n_layers}; "
        f"{_KNOWN_OVER[config.parametrization]}",
        f"batch size: the proxy takes {config.batch_size} sequences of {config.seq_len} a step",
        f"data and tokenizer: the proxy reads {read}, so its loss ranks choices and does not predict "
        f"the loss of {target.name}",
    )
