"""What a training run leaves behind: rows of numbers as they come, and one record at the end."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from training.config import TrainConfig
from training.data import Fingerprint, TokenSource
from training.sparsity.updater import MaskUpdate
from wse_sim.spec.reading import read_lines

RUN_FILE = "run.jsonl"
SPARSITY_FILE = "sparsity.jsonl"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One logged step.

    Parameters
    ----------
    step :
        Optimizer steps done, from 1.
    tokens :
        Consumed so far.
    loss :
        Of this step's batch before the update, nats per token; None where that, or the gradient, was no finite number:
        the step was skipped.
    bits_per_byte :
        The same loss in bits per byte of text; None where nobody knows how much text the tokens stand for.
    lr :
        Base learning rate of this step (what a tensor with multiplier 1 gets).
    grad_norm :
        Before clipping; masked gradients count as 0; None at a step that was skipped.
    density :
        Of the hidden matrices, after the step.
    host_s :
        Measured seconds on this machine since the first step, evaluation and checkpoints included; of a branched run,
        those of the run it comes from too.
    wafer_s, gpu_s :
        Simulated seconds of the target run at the same fraction of the way.
    val_loss, val_bits_per_byte :
        On held-out files, after the update; None at steps without evaluation.
    n_skipped :
        Steps so far, this one included, that were skipped: each has a row.
    """

    step: int
    tokens: int
    loss: float | None
    bits_per_byte: float | None
    lr: float
    grad_norm: float | None
    density: float
    host_s: float
    wafer_s: float | None = None
    gpu_s: float | None = None
    val_loss: float | None = None
    val_bits_per_byte: float | None = None
    n_skipped: int = 0


SimulatedClock = Callable[[float], tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearClock:
    """Simulated seconds in proportion to the fraction of the run that is done.

    Parameters
    ----------
    wafer_run_s, gpu_run_s :
        Of the whole target run; None where nobody simulated it.
    """

    wafer_run_s: float | None = None
    gpu_run_s: float | None = None

    def __call__(self, fraction: float) -> tuple[float | None, float | None]:
        wafer_s = None if self.wafer_run_s is None else fraction * self.wafer_run_s
        return wafer_s, None if self.gpu_run_s is None else fraction * self.gpu_run_s


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The one thing the trainer hands out.

    Parameters
    ----------
    rows :
        Those of `run.jsonl`, earlier ones of a resumed run included.
    mask_updates :
        Those of `sparsity.jsonl`, likewise; none where masks never change.
    n_params, n_nonzero_params :
        Embeddings included; the second without masked weights.
    host_s :
        Measured seconds of the whole run.
    checkpoint :
        The last one: weights, masks, moments.
    entropy_nats :
        Per token of the held-out part, below which no loss can be expected; None where nobody knows.
    warnings :
        What the reader should be told, such as a damaged checkpoint that was passed over.
    """

    run_dir: Path
    config: TrainConfig
    rows: tuple[Row, ...] = field(repr=False)
    n_params: int
    n_nonzero_params: int
    data: Fingerprint
    host_s: float
    checkpoint: Path
    entropy_nats: float | None = None
    mask_updates: tuple[MaskUpdate, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def train_loss(self) -> float:
        """Loss of the last batch that was logged, nats per token."""
        return next(row.loss for row in reversed(self.rows) if row.loss is not None)

    @property
    def n_skipped(self) -> int:
        """Steps that were skipped, their loss or gradient being no finite number."""
        return self.rows[-1].n_skipped

    @property
    def val_loss(self) -> float:
        """Held-out loss after the last step, nats per token."""
        return next(row.val_loss for row in reversed(self.rows) if row.val_loss is not None)

    @property
    def val_bits_per_byte(self) -> float | None:
        """Held-out loss after the last step, bits per byte of text; None where nobody knows how much there is."""
        return next(row.val_bits_per_byte for row in reversed(self.rows) if row.val_loss is not None)

    @property
    def tokens(self) -> int:
        """Tokens trained on."""
        return self.config.n_steps * self.config.tokens_per_step


def bits(loss: float) -> float:
    """Nats in bits."""
    return loss / math.log(2.0)


def bits_per_byte(loss: float, part: TokenSource) -> float | None:
    """Nats per token in bits per byte of text, by the tokens per byte of a whole part of a corpus."""
    return None if part.n_bytes is None else bits(loss) * (part.n_tokens / part.n_bytes)


def read_rows(path: Path) -> list[Row]:
    """The rows of a `run.jsonl`; see `wse_sim.spec.reading.read_lines`."""
    return read_lines(path, Row)


def read_mask_updates(path: Path) -> list[MaskUpdate]:
    """The rows of a `sparsity.jsonl`; see `wse_sim.spec.reading.read_lines`."""
    return read_lines(path, MaskUpdate)
