"""Standard, maximal-update and sparse maximal-update parameterization as tables of rules by role.

m_d = d_model / d_base, m_rho = density / density_base, L = n_layers. A rule holds exponents of these three, so the
tables below read like the tables of the papers: Cerebras-GPT (arXiv 2304.03208) Table 14 for μP, SμPar (arXiv
2405.15743) Table 1 for all three. The factor (2 L)^-1/2 on residual outputs is GPT-2's, and Cerebras-GPT's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from torch import nn

from models.gpt import ForwardMultipliers
from models.roles import HIDDEN_ROLES, Role, parameter_roles
from wse_sim.errors import SpecError, choose
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import check_density

ParametrizationName = Literal["sp", "mup", "smupar"]
WeightDecayScaling = Literal["none", "constant_lr_wd"]


class BaseHyperparameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters tuned once on a narrow dense model, to be transferred.

    Parameters
    ----------
    d_base :
        Width of the model they were tuned on.
    density_base :
        Density of that model, in (0, 1].
    peak_lr :
        Peak learning rate of AdamW (eta).
    init_std :
        Standard deviation before truncation (sigma).
    embedding_multiplier, logits_multiplier :
        alpha_in and alpha_out.
    attention_multiplier :
        Factor on the attention scale 1/d_head of μP (ModelZoo's attention_logits_alpha); SP ignores all three.
    source :
        Where the numbers come from.
    """

    d_base: int
    density_base: float = 1.0
    peak_lr: float
    init_std: float
    embedding_multiplier: float = 1.0
    logits_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    source: str

    def __post_init__(self) -> None:
        for field in (
            "d_base",
            "peak_lr",
            "init_std",
            "embedding_multiplier",
            "logits_multiplier",
            "attention_multiplier",
        ):
            if not getattr(self, field) > 0:
                raise SpecError(f"base hyper-parameters: {field} is {getattr(self, field)}, it must be positive")
        if not 0 < self.density_base <= 1:
            raise SpecError(f"base hyper-parameters: density_base is {self.density_base}, it must be in (0, 1]")


BASES: Mapping[str, BaseHyperparameters] = {
    "smupar-paper": BaseHyperparameters(
        d_base=256,
        peak_lr=1.62e-2,
        init_std=0.08665602,
        embedding_multiplier=9.1705,
        logits_multiplier=1.0951835,
        source="SμPar, arXiv 2405.15743, Table 3",
    ),
    "cerebras-gpt-mup": BaseHyperparameters(
        d_base=256,
        peak_lr=6e-3,
        init_std=0.08,
        embedding_multiplier=10.0,
        logits_multiplier=1.0,
        source="Cerebras-GPT, arXiv 2304.03208, Section 3.3",
    ),
    "cerebras-gpt-sp": BaseHyperparameters(
        d_base=256,
        peak_lr=6e-4,
        init_std=0.02,
        source="Cerebras-GPT, arXiv 2304.03208, Table 1 (the learning rate of 111M; larger models have their own)",
    ),
    "bytes-64-sp": BaseHyperparameters(
        d_base=64,
        peak_lr=4.05e-3,
        init_std=0.02166,
        source="one dense run at d_model 64 on bytes of Python source (docs/notebook.md), not tuned; "
        "init_std: SμPar, arXiv 2405.15743, Table 4",
    ),
    "bytes-64": BaseHyperparameters(
        d_base=64,
        peak_lr=8.1e-3,
        init_std=0.08665602,
        embedding_multiplier=9.1705,
        logits_multiplier=1.0951835,
        # 1/sqrt(d_head) at the proxies' d_head of 32. With 1/32 so small a model learns to attend late: 2.54 against
        # 2.50 bits per byte at density 0.25, one seed.
        attention_multiplier=32**0.5,
        source="learning rate and attention: our runs at d_model 64 on bytes of Python source (docs/notebook.md); "
        "the rest: SμPar, arXiv 2405.15743, Table 3",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one role is initialized and trained.

    Parameters
    ----------
    start :
        `normal`: truncated normal; `one`, `zero`: constant.
    init_width, init_density, init_depth :
        Exponents of m_d, m_rho and 2 L in the standard deviation.
    lr_width, lr_density :
        Exponents of m_d and m_rho in the learning rate.
    is_decayed :
        Weight decay acts on it.
    """

    start: Literal["normal", "one", "zero"] = "normal"
    init_width: float = 0.0
    init_density: float = 0.0
    init_depth: float = 0.0
    lr_width: float = 0.0
    lr_density: float = 0.0
    is_decayed: bool = True


_EMBEDDED: Mapping[Role, Rule] = {
    "embedding": Rule(),
    "position": Rule(),
    "norm": Rule(start="one", is_decayed=False),
    "bias": Rule(start="zero", is_decayed=False),
}
_MUP_IN = Rule(init_width=-0.5, lr_width=-1.0)
_MUP_OUT = Rule(init_width=-0.5, init_depth=-0.5, lr_width=-1.0)
_SMUPAR_IN = Rule(init_width=-0.5, init_density=-0.5, lr_width=-1.0, lr_density=-1.0)
_SMUPAR_OUT = Rule(init_width=-0.5, init_density=-0.5, init_depth=-0.5, lr_width=-1.0, lr_density=-1.0)
RULES: Mapping[ParametrizationName, Mapping[Role, Rule]] = {
    "sp": {**_EMBEDDED, "hidden_in": Rule(), "hidden_out": Rule(init_depth=-0.5)},
    "mup": {**_EMBEDDED, "hidden_in": _MUP_IN, "hidden_out": _MUP_OUT},
    "smupar": {**_EMBEDDED, "hidden_in": _SMUPAR_IN, "hidden_out": _SMUPAR_OUT},
}


class Parametrization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of rules and the base hyper-parameters that it transfers.

    Parameters
    ----------
    weight_decay_scaling :
        AdamW decays by lr x weight_decay. `none` leaves weight_decay alone, so the product shrinks with the learning
        rate of wide models (ModelZoo, the SμPar authors); `constant_lr_wd` divides it by the learning-rate
        multiplier, so the product is that of the base model (mup's MuAdamW).
    """

    name: ParametrizationName
    base: BaseHyperparameters
    weight_decay_scaling: WeightDecayScaling = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTensor:
    """What one tensor of one model really gets.

    Parameters
    ----------
    density :
        Fraction of its weights that are not masked.
    init_std :
        Before truncation at two standard deviations; 0 for constants.
    lr :
        Peak learning rate.
    weight_decay :
        AdamW's coefficient; the decay per step is lr x weight_decay.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    density: float
    start: Literal["normal", "one", "zero"]
    init_std: float
    lr_multiplier: float
    lr: float
    weight_decay: float


def forward_multipliers(parametrization: Parametrization, shape: ModelShape) -> ForwardMultipliers:
    """The three numbers that enter the forward pass.

    Source: SμPar (arXiv 2405.15743), Table 1; the attention scale 1/d_head belongs to μP and SμPar.
    """
    base = parametrization.base
    if parametrization.name == "sp":
        return ForwardMultipliers(embedding=1.0, attention_scale=shape.d_head**-0.5, logits=1.0)
    m_d = shape.d_model / base.d_base
    return ForwardMultipliers(
        embedding=base.embedding_multiplier,
        attention_scale=base.attention_multiplier / shape.d_head,
        logits=base.logits_multiplier / m_d,
    )


def effective_table(
    model: nn.Module, shape: ModelShape, parametrization: Parametrization, density: float, weight_decay: float
) -> list[EffectiveTensor]:
    """One row for each parameter of the model, in its order.

    Parameters
    ----------
    model :
        On any device, the meta device included; its modules declare their roles (`models.roles`).
    density :
        Of the hidden matrices, in (0, 1]; everything else is dense.
    weight_decay :
        AdamW's coefficient for decayed tensors of the base model.

    Raises
    ------
    SpecError
        When a parameter has no role, or the parameterization is unknown.
    """
    check_density(density)
    rules = RULES[choose(parametrization.name, RULES, "parametrization")]  # type: ignore[index]
    base = parametrization.base
    m_d = shape.d_model / base.d_base
    roles = parameter_roles(model)
    rows = []
    for name, parameter in model.named_parameters():
        role = roles[name]
        rule = rules[role]
        is_hidden = role in HIDDEN_ROLES
        m_rho = density / base.density_base if is_hidden else 1.0
        multiplier = lr_multiplier(rule, m_d, m_rho)
        row = EffectiveTensor(
            name=name,
            role=role,
            shape=tuple(parameter.shape),
            density=density if is_hidden else 1.0,
            start=rule.start,
            init_std=init_std(rule, base.init_std, m_d, m_rho, shape.n_layers),
            lr_multiplier=multiplier,
            lr=base.peak_lr * multiplier,
            weight_decay=_weight_decay(rule, parametrization.weight_decay_scaling, weight_decay, multiplier),
        )
        rows.append(row)
    return rows


def lr_multiplier(rule: Rule, m_d: float, m_rho: float) -> float:
    """Factor on the base learning rate."""
    return float(m_d**rule.lr_width * m_rho**rule.lr_density)


def init_std(rule: Rule, sigma: float, m_d: float, m_rho: float, n_layers: int) -> float:
    """Standard deviation before truncation; 0 for a constant."""
    if rule.start != "normal":
        return 0.0
    return float(sigma * m_d**rule.init_width * m_rho**rule.init_density * (2 * n_layers) ** rule.init_depth)


def _weight_decay(rule: Rule, scaling: WeightDecayScaling, weight_decay: float, multiplier: float) -> float:
    if not rule.is_decayed:
        return 0.0
    return weight_decay / multiplier if scaling == "constant_lr_wd" else weight_decay
