"""The summary of a run as `summary.json` has it: what was asked for, chosen, measured, simulated and projected."""

import msgspec

from models.rules import ParametrizationName
from training.data import Fingerprint
from training.host import ChosenMode
from wse_sim.gpu.roofline import GpuResult
from wse_sim.laws.cerebras_gpt import LossProjection
from wse_sim.report.layer_masks import LayerMask
from wse_sim.report.metrics import SimulationResult


class RoleHyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """What the tensors of one role are initialized and trained with."""

    peak_lr: float
    init_std: float


class TargetHyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """The published hyper-parameters that the target would be trained with."""

    peak_lr: float
    d_base: int
    source: str
    roles: dict[str, RoleHyperparameters]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The full-size run that was asked for."""

    model: str
    n_layers: int
    d_model: int
    n_heads: int
    params: int
    density: float
    sparsity_algorithm: str
    schedule: str
    parametrization: ParametrizationName
    batch_size: int
    seq_len: int
    tokens: float
    n_steps: float
    tokens_per_parameter: float
    seed: int
    hyper_parameters: TargetHyperparameters


class HostMachine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a run was made on."""

    cpu: str
    cores: int
    memory_bytes: int
    matmul_flops_per_s: float
    gpu: str | None
    torch_version: str
    measured_at: str


class RunChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What trained here in place of the target, or as the target, and why."""

    mode: ChosenMode
    reasons: tuple[str, ...]
    not_covered: tuple[str, ...]
    machine: HostMachine
    n_threads: int
    full_run_here_s: float
    full_run_here_bytes: float
    predicted_s: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What training here came to."""

    params: int
    nonzero_params: int
    d_model: int
    n_layers: int
    steps: int
    tokens: int
    train_loss: float
    val_loss: float
    bits_per_byte: float | None
    entropy_nats: float | None
    host_s: float
    tokens_per_s: float
    corpus: Fingerprint
    warnings: tuple[str, ...]
    n_skipped: int = 0


class Projected(LossProjection, frozen=True, kw_only=True):
    """The loss of the full-size run, and of the same run at density 1."""

    dense_value: float
    dense_low: float
    dense_high: float
    dense_law: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one table: what was measured here, simulated, and projected, each under its own word."""

    version: str
    command: str
    target: Target
    choice: RunChoice
    measured: Measured
    simulated: SimulationResult
    simulated_gpu: GpuResult
    projected: Projected
    simulated_dense: SimulationResult | msgspec.UnsetType = msgspec.UNSET
    layer_masks: tuple[LayerMask, ...] | msgspec.UnsetType = msgspec.UNSET
