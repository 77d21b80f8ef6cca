"""A run to be simulated: the model, how it is trained, and on what."""

from typing import Literal, get_args

import msgspec

from wse_sim.defaults import IMPERFECTIONS, RUN
from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.spec.divisors import divisors
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number

TOKENS_PER_PARAMETER = 20  # compute-optimal, Cerebras-GPT (arXiv 2304.03208) Section 2 after Chinchilla
ChangingAlgorithm = Literal["set", "rigl", "gmp"]
SPARSITY_ALGORITHMS = ("static", *get_args(ChangingAlgorithm))
MOST_STEPS = 10**12  # twice the root of these are tried as checkpoint intervals
_NUMBERS = ("density", "num_csx", "batch_size", "microbatch", "jitter", "straggler")


class MaskUpdates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How masks change while a run trains.

    Parameters
    ----------
    algorithm :
        `set` drops the smallest weights and grows others at random; `rigl` grows those with the largest gradient, for
        which it needs the gradient of every weight; `gmp` starts dense and prunes the smallest weights until the run's
        density is reached; `spdf` lifts static masks, all weights live from then on.
    every_steps :
        Steps between two updates.
    until :
        Fraction of the run after which the masks stay, or are lifted.

    Source: SET, arXiv 1707.04780; RigL, arXiv 1911.11134; gradual magnitude pruning, arXiv 1710.01878.
    """

    algorithm: ChangingAlgorithm | Literal["spdf"]
    every_steps: int = 100
    until: float = 0.75

    def __post_init__(self) -> None:
        check_number("mask_update_steps", self.every_steps)
        if not 0 < self.until <= 1:
            raise SpecError(f"masks change until {self.until} of the run: it must be above 0 and at most 1")


def mask_updates_of(algorithm: str, every_steps: int | None = None) -> MaskUpdates | None:
    """How masks change, None where they never do.

    Parameters
    ----------
    algorithm :
        One of `SPARSITY_ALGORITHMS`.
    every_steps :
        Steps between two changes; None = 100.

    Raises
    ------
    SpecError
        When there is no such algorithm, or steps are given for masks that never change.
    """
    if choose(algorithm, SPARSITY_ALGORITHMS, "sparsity algorithm") != "static":
        given = {} if every_steps is None else {"every_steps": every_steps}
        return MaskUpdates(algorithm=algorithm, **given)  # type: ignore[arg-type]  # it was chosen
    if every_steps is not None:
        raise SpecError(
            f"mask_update_steps is {every_steps}, but static masks never change: "
            "the sparsity algorithm set, rigl or gmp would be right"
        )
    return None


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training run on a wafer-scale cluster.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step, over the whole cluster.
    microbatch :
        Sequences per system and micro-batch; None lets the simulator choose the fastest that fits.
    density :
        Fraction of the linear layers' weights that is not masked.
    tokens :
        Length of the whole run.
    release :
        Software release, a factor on the rate of computation (data/releases.toml).
    seed :
        Of the drawn masks, of the jitter, and of failures and slow episodes.
    jitter :
        Every pass at every system takes up to this fraction longer, drawn evenly.
    straggler :
        One system takes this many times as long as the others; 1 = none does.
    mask_updates :
        None = masks that never change.
    """

    shape: ModelShape
    system: str = RUN["system"]
    num_csx: int
    batch_size: int
    seq_len: int
    tokens: float
    density: float = 1.0
    microbatch: int | None = None
    release: str = RUN["release"]
    seed: int = RUN["seed"]
    jitter: float = IMPERFECTIONS["jitter"]
    straggler: float = IMPERFECTIONS["straggler"]
    mask_updates: MaskUpdates | None = None

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            if (value := getattr(self, name)) is not None:
                check_number(name, value)
        if self.batch_size % self.num_csx:
            raise SpecError(
                f"batch_size {self.batch_size} is not a multiple of num_csx {self.num_csx}: every system takes "
                f"the same number of sequences; the next that work are {_neighbours(self.batch_size, self.num_csx)}"
            )
        if self.microbatch is not None and self.batch_per_csx % self.microbatch:
            raise SpecError(
                f"microbatch {self.microbatch} does not divide the {self.batch_per_csx} sequences per system; "
                f"these do: {', '.join(map(str, self.microbatches))}"
            )
        check_seq_len(self.shape, self.seq_len)
        check_tokens(self.tokens, self.batch_size, self.seq_len)

    @property
    def batch_per_csx(self) -> int:
        return self.batch_size // self.num_csx

    @property
    def microbatches(self) -> list[int]:
        """Sizes into which a system's share of the batch can be cut, smallest first."""
        return list(divisors(self.batch_per_csx, self.batch_per_csx))

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.seq_len

    @property
    def n_steps(self) -> float:
        """Optimizer steps of the whole run."""
        return self.tokens / self.tokens_per_step


def check_seq_len(shape: ModelShape, seq_len: int) -> None:
    """Refuse sequences that the model cannot take.

    Raises
    ------
    SpecError
        When `seq_len` is below 1, or beyond the positions that the model has learned.
    """
    check_number("seq_len", seq_len)
    if shape.positions == "learned" and seq_len > shape.seq_len:
        raise SpecError(f"seq_len is {seq_len}: {shape.name} takes 1 to {shape.seq_len}")


def check_tokens(tokens: float, batch_size: int, seq_len: int) -> None:
    """Refuse a run that ends within its first step, or all but never.

    Raises
    ------
    SpecError
        When a step takes more tokens than the run has, or the run has more steps than can be simulated.
    """
    check_number("tokens", tokens)
    tokens_per_step = batch_size * seq_len
    if tokens < tokens_per_step:
        raise SpecError(
            f"tokens is {tokens:,.10g}: a run has at least one step, {tokens_per_step:,} tokens in a batch of "
            f"{batch_size:,} × {seq_len:,}"
        )
    if tokens > MOST_STEPS * tokens_per_step:
        raise SpecError(
            f"tokens is {tokens:g}: that is {tokens / tokens_per_step:.3g} steps of {tokens_per_step:,} tokens, and "
            f"at most {MOST_STEPS:.0e} can be simulated: at most {float(MOST_STEPS * tokens_per_step):.3g} "
            "tokens, or a larger batch_size, would be right"
        )


def steps_of(tokens_per_parameter: float, n_parameters: int, *, batch_size: int, seq_len: int) -> int:
    """Optimizer steps, to the nearest one, in which a model of `n_parameters` sees so many tokens for each.

    Raises
    ------
    SpecError
        As `check_tokens`.
    """
    check_number("tokens_per_parameter", tokens_per_parameter, "tpp")
    tokens = tokens_per_parameter * n_parameters
    with errors_at(f"tpp {tokens_per_parameter:g}"):
        check_tokens(tokens, batch_size, seq_len)
    return round(tokens / (batch_size * seq_len))


def _neighbours(batch_size: int, num_csx: int) -> str:
    below = batch_size // num_csx * num_csx
    return f"{below} and {below + num_csx}" if below else str(num_csx)
