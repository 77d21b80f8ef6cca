"""A parameterization laid open: its rules as text, and what they make of every tensor of a model."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from models.gpt import meta_model
from models.parametrization import (
    BaseHyperparameters,
    EffectiveTensor,
    Parametrization,
    ParametrizationName,
    WeightDecayScaling,
    caveats,
    effective_table,
    factors_of,
    forward_multipliers,
)
from models.roles import HIDDEN_ROLES, Role, parameter_roles
from models.rules import Factors, Rule, Start
from wse_sim.spec.model import ModelShape

_BLOCK = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """The rule of one role in symbols: σ, η, λ and ε are the base's; m_d, m_rho and m_L as in `models.rules`."""

    role: Role
    init_std: str
    lr: str
    weight_decay: str
    eps: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """A factor in the forward pass: where, in symbols, and its value (None without a model)."""

    name: str
    rule: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRow:
    """One tensor, or the same tensor of several blocks where all of them have the same numbers.

    The numbers are those of `EffectiveTensor`.

    Parameters
    ----------
    name :
        Full parameter name; several blocks stand as `blocks.0..31`.
    lr_wd :
        lr x weight_decay, what a step takes off at the peak.
    """

    name: str
    n_tensors: int
    role: Role
    shape: tuple[int, ...]
    density: float
    start: Start
    init_std: float
    lr: float
    weight_decay: float
    lr_wd: float
    eps: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a parameterization, and what it makes of a model where one is named."""

    parametrization: ParametrizationName
    depth_alpha: float
    weight_decay_scaling: WeightDecayScaling
    base: BaseHyperparameters
    weight_decay: float
    eps: float
    model: str | None
    density: float
    factors: Factors | None
    rules: list[RuleText]
    multipliers: list[Multiplier]
    tensors: list[TensorRow]
    caveats: tuple[str, ...]


def rule_texts(parametrization: Parametrization) -> list[RuleText]:
    """The table of rules, one row for each role."""
    return [_rule_text(role, rule, parametrization) for role, rule in parametrization.rules.items()]


def multiplier_texts(parametrization: Parametrization, shape: ModelShape | None) -> list[Multiplier]:
    """The factors in the forward pass."""
    texts = {
        "embedding": "α_in",
        "attention_scale": "α_attention / d_head",
        "logits": "α_out m_d^-1",
        "residual": f"m_L^-{parametrization.depth_alpha:g}" if parametrization.name == "completep" else "1",
    }
    if parametrization.name == "sp":
        texts = {"embedding": "1", "attention_scale": "d_head^-1/2", "logits": "1", "residual": "1"}
    values: Mapping[str, float] = asdict(forward_multipliers(parametrization, shape)) if shape else {}
    return [Multiplier(name=name, rule=rule, value=values.get(name)) for name, rule in texts.items()]


def tensor_rows(
    shape: ModelShape, parametrization: Parametrization, *, density: float, weight_decay: float, eps: float
) -> list[TensorRow]:
    """What every tensor of the model gets, blocks that agree in one row.

    Parameters
    ----------
    density :
        Of the hidden matrices.
    weight_decay, eps :
        Of the base.

    Raises
    ------
    SpecError
        When the shape is no decoder, or the density is out of range.
    """
    model = meta_model(shape)
    densities = {name: density for name, role in parameter_roles(model).items() if role in HIDDEN_ROLES}
    table = effective_table(model, shape, parametrization, densities, weight_decay, eps)
    alike: dict[tuple[Any, ...], list[EffectiveTensor]] = {}
    for row in table:
        same = (_BLOCK.sub("*", row.name), row.density, row.init_std, row.lr, row.weight_decay, row.eps)
        alike.setdefault(same, []).append(row)
    return [_tensor_row(rows) for rows in alike.values()]


def explanation(
    parametrization: Parametrization,
    shape: ModelShape | None,
    *,
    density: float,
    algorithm: str,
    weight_decay: float,
    eps: float,
) -> Explanation:
    """Everything about a parameterization, and what it makes of a model where one is named.

    Raises
    ------
    SpecError
        As `tensor_rows`.
    """
    return Explanation(
        parametrization=parametrization.name,
        depth_alpha=parametrization.depth_alpha,
        weight_decay_scaling=parametrization.weight_decay_scaling,
        base=parametrization.base,
        weight_decay=weight_decay,
        eps=eps,
        model=shape.name if shape else None,
        density=density,
        factors=factors_of(shape, parametrization.base, density) if shape else None,
        rules=rule_texts(parametrization),
        multipliers=multiplier_texts(parametrization, shape),
        tensors=tensor_rows(shape, parametrization, density=density, weight_decay=weight_decay, eps=eps)
        if shape
        else [],
        caveats=caveats(parametrization.name, "dense" if density == 1 else algorithm),
    )


def _rule_text(role: Role, rule: Rule, parametrization: Parametrization) -> RuleText:
    is_constant = parametrization.weight_decay_scaling == "constant_lr_wd"
    decay = rule.lr.inverse if is_constant else rule.weight_decay
    return RuleText(
        role=role,
        init_std=rule.init.symbols("σ") if rule.start == "normal" else f"all {rule.start}",
        lr=rule.lr.symbols("η"),
        weight_decay=decay.symbols("λ") if rule.is_decayed else "0",
        eps=rule.eps.symbols("ε"),
    )


def _tensor_row(rows: list[EffectiveTensor]) -> TensorRow:
    first = rows[0]
    return TensorRow(
        name=_BLOCK.sub(_indices(rows), first.name, count=1),
        n_tensors=len(rows),
        role=first.role,
        shape=first.shape,
        density=first.density,
        start=first.start,
        init_std=first.init_std,
        lr=first.lr,
        weight_decay=first.weight_decay,
        lr_wd=first.lr * first.weight_decay,
        eps=first.eps,
    )


def _indices(rows: list[EffectiveTensor]) -> str:
    """The blocks of the rows, as `0..31`, or with commas between them where some are missing."""
    found = [_BLOCK.search(row.name) for row in rows]
    numbers = [int(match[0]) for match in found if match]
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    return ",".join(map(str, numbers))
