"""The laws that papers printed, with their coefficients as printed."""

from functools import cache
from typing import TypeVar

import msgspec
import numpy as np

from wse_sim.laws.chinchilla import ChinchillaLaw
from wse_sim.laws.form import Floats
from wse_sim.laws.power_law import PowerLaw
from wse_sim.laws.sparse import SparseLaw
from wse_sim.spec.load import convert, data_path, read_toml, without_citation
from wse_sim.spec.sourced import Sourced

Amount = TypeVar("Amount", float, Floats)


class Residual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spread of the rows that a law was fitted to around it: a fraction of the loss."""

    relative_std: float


class Validity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rows lie that a law was fitted to."""

    tokens_per_parameter: float
    flops_low: float
    flops_high: float
    vocab_size: int


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """factor x^exponent."""

    factor: Sourced
    exponent: Sourced

    def at(self, x: Amount) -> Amount:
        power: Amount = self.factor.value * x**self.exponent.value
        return power


class PowerLines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for timescale and batch.

    Parameters
    ----------
    timescale :
        AdamW timescale of least loss, a fraction of the run, by tokens per parameter.
    optimal_batch, critical_batch :
        Sequences of `batch_seq_len` tokens, by training tokens.
    """

    timescale: Power
    optimal_batch: Power
    critical_batch: Power
    batch_seq_len: Sourced


class DecayToZero(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gain of a learning rate that decays linearly to zero over one that decays to a tenth.

    Parameters
    ----------
    relative_gain :
        Fraction by which the loss is lower at each of `tokens_per_parameter`.
    """

    tokens_per_parameter: tuple[float, ...]
    relative_gain: tuple[float, ...]

    def at(self, tokens_per_parameter: Floats | float) -> Floats:
        """Straight between the points in the logarithm, and beyond them as between the last two; elementwise."""
        at, gains = np.log(self.tokens_per_parameter), np.array(self.relative_gain)
        x = np.log(np.asarray(tokens_per_parameter, float))
        piece = np.clip(np.searchsorted(at, x) - 1, 0, len(at) - 2)
        slope = np.diff(gains) / np.diff(at)
        return np.asarray(gains[piece] + slope[piece] * (x - at[piece]))


class PublishedLaws(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content of data/laws.toml, which cites each."""

    cerebras_gpt: PowerLaw
    cerebras_gpt_residual: Residual
    cerebras_gpt_validity: Validity
    sparse_t5: SparseLaw
    sparse_vit: SparseLaw
    chinchilla: ChinchillaLaw
    chinchilla_replication: ChinchillaLaw
    power_lines: PowerLines
    decay_to_zero: DecayToZero


class SparseRuns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Published runs of sparse models, column by column.

    Parameters
    ----------
    nonzeros :
        Weights of the linear layers that are left.
    """

    density: tuple[float, ...]
    nonzeros: tuple[float, ...]
    steps: tuple[float, ...]
    loss: tuple[float, ...]


@cache
def published_laws() -> PublishedLaws:
    """The coefficients as their authors printed them."""
    tables = read_toml(data_path("laws.toml"))
    return convert({name: without_citation(table) for name, table in tables.items()}, PublishedLaws, "data/laws.toml")


@cache
def sparse_t5_runs() -> SparseRuns:
    """The 48 runs of T5 on C4 behind `published_laws().sparse_t5`.

    Source: google-research/jaxpruner, projects/bigsparse/t5-data.csv.
    """
    table = read_toml(data_path("laws", "t5_c4.toml"))["runs"]
    return convert(without_citation(table), SparseRuns, "data/laws/t5_c4.toml")
