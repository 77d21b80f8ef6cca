"""Everything a training run needs to know, in one frozen record that reads and writes TOML."""

from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from models.parametrization import BASES, BaseHyperparameters, Parametrization, ParametrizationName, WeightDecayScaling
from training.schedules import SCHEDULES
from wse_sim.errors import SpecError, choose
from wse_sim.spec.load import convert, read_toml
from wse_sim.spec.model import ModelShape

_AT_LEAST_ONE = (
    "n_steps",
    "batch_size",
    "seq_len",
    "n_eval_sequences",
    "eval_interval",
    "log_interval",
    "checkpoint_interval",
    "n_threads",
)


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trains, on what, for how long.

    Parameters
    ----------
    shape :
        Of the model that trains (the proxy, where one trains in place of the target).
    density :
        Of the hidden matrices, in (0, 1].
    base :
        Hyper-parameters that the parameterization transfers; its peak_lr is the base learning rate.
    schedule :
        A key of `training.schedules.SCHEDULES`.
    batch_size :
        Sequences per optimizer step.
    seq_len :
        Tokens per sequence, at most shape.seq_len.
    warmup_fraction :
        Of n_steps, rounded to a step.
    clip :
        Largest norm of the whole gradient; anything above is scaled down to it.
    eval_interval, log_interval, checkpoint_interval :
        In steps. Evaluation and checkpoint also happen after the last step.
    n_eval_sequences :
        Held-out sequences per evaluation, the same ones every time.
    data :
        `stdlib`: sources of the Python standard library; `markov`: the synthetic source; else a file or folder of text.
    n_threads :
        CPU threads. Part of the run's identity: sums split over other threads round otherwise.
    """

    shape: ModelShape
    base: BaseHyperparameters = BASES["bytes-64"]
    parametrization: ParametrizationName = "smupar"
    weight_decay_scaling: WeightDecayScaling = "none"
    seed: int = 0
    density: float = 1.0
    schedule: str = "linear"
    n_steps: int
    batch_size: int
    seq_len: int
    warmup_fraction: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip: float = 1.0
    eval_interval: int = 250
    n_eval_sequences: int = 256
    log_interval: int = 10
    checkpoint_interval: int = 500
    data: str = "stdlib"
    n_threads: int = 1

    def __post_init__(self) -> None:
        choose(self.schedule, SCHEDULES, "schedule")
        for key in _AT_LEAST_ONE:
            _require(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        _require(0 < self.density <= 1, "density", self.density, "in (0, 1]; density = 1 - sparsity")
        _require(0 <= self.warmup_fraction < 1, "warmup_fraction", self.warmup_fraction, "in [0, 1)")
        _require(
            self.n_warmup_steps < self.n_steps, "warmup_fraction", self.warmup_fraction, "small enough to leave a step"
        )
        _require(
            self.seq_len <= self.shape.seq_len, "seq_len", self.seq_len, f"at most shape.seq_len = {self.shape.seq_len}"
        )
        _require(
            self.shape.vocab_size >= 256,
            "shape.vocab_size",
            self.shape.vocab_size,
            "at least 256, the values of a byte",
        )
        _require(all(0 <= beta < 1 for beta in self.betas), "betas", self.betas, "in [0, 1)")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        _require(self.eps > 0, "eps", self.eps, "positive")
        _require(self.clip > 0, "clip", self.clip, "positive")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "in [0, 2^63)")

    @property
    def n_warmup_steps(self) -> int:
        return round(self.warmup_fraction * self.n_steps)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.seq_len

    @property
    def parameters_transfer_by(self) -> Parametrization:
        """The rules and the base that `models.build` takes."""
        return Parametrization(
            name=self.parametrization, base=self.base, weight_decay_scaling=self.weight_decay_scaling
        )


def read_config(path: Path) -> TrainConfig:
    """The configuration in a TOML file.

    Raises
    ------
    SpecError
        When the file cannot be read or a key or value is wrong; names the file, the key and the nearest right key.
    """
    return convert(read_toml(path), TrainConfig, str(path))


def config_to_toml(config: TrainConfig) -> str:
    """The configuration as TOML, every default written out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: an absent key is one."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def _require(holds: bool, key: str, value: object, right: str) -> None:
    if not holds:
        raise SpecError(f"training configuration: {key} is {value}, it must be {right}")
