"""How many tokens per second the trainer takes in on this machine, dense and masked: `wse-sim bench trainer`.

A step is all that a run does for one: read a batch, forward, backward, mask and clip the gradient, AdamW. Densities
take turns, step by step, so that whatever else the machine does strikes them alike.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice

import msgspec
from torch import Tensor

from models.build import build_model
from models.parametrization import BASES, Parametrization
from training.data import STDLIB, TrainOrder, load_corpus
from training.deterministic import deterministic
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.turns import turns_s
from wse_sim.errors import SpecError, choose
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import Convention, training_flops_per_token
from wse_sim.workload.transformer import n_parameters

_N_WARMUP = 2  # the first steps allocate AdamW's moments and fill caches
_CONVENTION: Convention = "palm"
_BETAS, _CLIP, _LR_FACTOR = (0.9, 0.95), 1.0, 0.1

Batch = tuple[Tensor, Tensor]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is timed."""

    shape: ModelShape
    batch_size: int
    seq_len: int


class StepSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Measured speed of one workload at one density.

    Parameters
    ----------
    tokens_per_s, best_tokens_per_s :
        Of the median and of the fastest step.
    dense_flops_per_s :
        Of the median step, as convention `palm` counts them; masked weights count as if they were there, since a
        matrix library multiplies them all the same.
    """

    workload: str
    n_params: int
    batch_size: int
    seq_len: int
    n_threads: int
    density: float
    n_steps: int
    tokens_per_s: float
    best_tokens_per_s: float
    dense_flops_per_s: float


def workloads() -> Mapping[str, Workload]:
    """Cerebras-GPT 111M, and a model of ten million parameters on bytes, the shape of nanoGPT's first example."""
    small = ModelShape(name="10m", n_layers=6, d_model=384, n_heads=6, d_ff=1536, vocab_size=256, seq_len=256)
    return {
        "10m": Workload(shape=small, batch_size=8, seq_len=256),
        "111m": Workload(shape=load_model("111m").shape, batch_size=4, seq_len=256),
    }


def measure_speed(
    name: str,
    *,
    densities: Sequence[float] = (1.0,),
    n_steps: int = 10,
    n_threads: int,
    batch_size: int | None = None,
    seq_len: int | None = None,
    watch: Watch = UNWATCHED,
) -> list[StepSpeed]:
    """The speed of a workload at each density.

    Parameters
    ----------
    name :
        Of `workloads`.
    n_steps :
        That are timed, of each density, after some that are not.
    batch_size, seq_len :
        Sequences, and tokens of each, in place of the workload's own.
    watch :
        Hears of each turn, a step of every density.

    Raises
    ------
    SpecError
        When the workload is unknown, or its model cannot read so long a sequence.
    """
    known = workloads()
    workload = known[choose(name, known, "workload")]
    n_sequences, n_places = batch_size or workload.batch_size, seq_len or workload.seq_len
    if n_places > workload.shape.seq_len:
        raise SpecError(f"seq_len is {n_places}, the {name} model reads at most {workload.shape.seq_len} tokens")
    order = TrainOrder(load_corpus(STDLIB).train, n_places, seed=0)
    n_tokens = n_sequences * n_places
    with deterministic(n_threads):
        # Lazily, so that a batch is read within the step that it is for.
        steps = [
            training_step(workload.shape, density, (order.batch(k * n_sequences, n_sequences) for k in count()))
            for density in densities
        ]
        watch.begin(_N_WARMUP + n_steps, f"turns of {name}")
        turns = []
        for turn in islice(turns_s(steps), _N_WARMUP + n_steps):
            turns.append(turn)
            watch.came()
        del turns[:_N_WARMUP]
    per_token = training_flops_per_token(workload.shape, n_places, convention=_CONVENTION)
    return [
        StepSpeed(
            workload=name,
            n_params=n_parameters(workload.shape),
            batch_size=n_sequences,
            seq_len=n_places,
            n_threads=n_threads,
            density=density,
            n_steps=n_steps,
            tokens_per_s=n_tokens / statistics.median(of_density),
            best_tokens_per_s=n_tokens / min(of_density),
            dense_flops_per_s=per_token * n_tokens / statistics.median(of_density),
        )
        for density, of_density in zip(densities, zip(*turns, strict=True), strict=True)
    ]


def training_step(shape: ModelShape, density: float, batches: Iterator[Batch]) -> Callable[[], None]:
    """What trains a new model by one step each time it is called."""
    transferred = Parametrization(name="smupar", base=BASES["bytes-64"])
    built = build_model(shape, transferred, seed=0, density=density, weight_decay=0.1, eps=1e-8)
    optimizer = build_optimizer(built.model, built.table, betas=_BETAS)
    set_lr(optimizer, _LR_FACTOR)

    def step() -> None:
        compute_gradient(built.model, built.masks, optimizer, next(batches), _CLIP)
        optimizer.step()

    return step
