"""What the rules of a parameterization make of one model: numbers for every tensor, and for the forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from models.bases import BASES, BaseHyperparameters
from models.multipliers import ForwardMultipliers
from models.roles import Role, parameter_roles
from models.rules import PARAMETRIZATIONS, Factors, ParametrizationName, Rule, Start, Table, factors_of, rules_of
from wse_sim.errors import SpecError, choose
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BASES",
    "PARAMETRIZATIONS",
    "BaseHyperparameters",
    "EffectiveTensor",
    "InitialDraw",
    "Parametrization",
    "ParametrizationName",
    "WeightDecayScaling",
    "caveats",
    "effective_table",
    "factors_of",
    "forward_multipliers",
    "rules_of",
]

WeightDecayScaling = Literal["none", "constant_lr_wd"]
InitialDraw = Literal["torch", "philox"]  # see `models.build.initialize`

_MASKS_IN_THEORY = ("dense", "static")
_WITHOUT_DENSITY = "corrects nothing for density: expect the best learning rate to rise as density falls"
_ABLATION = "an ablation of SμPar with one of its two corrections for density: not meant to transfer over density"
_KNOWN_LIMITS: Mapping[str, str] = {
    "sp": f"standard parameterization transfers over nothing and {_WITHOUT_DENSITY}",
    "mup": f"μP transfers over width and {_WITHOUT_DENSITY}",
    "completep": "CompleteP was published for dense models: its powers of density are SμPar's, no paper tests the two "
    "together",
    "smupar_init_only": _ABLATION,
    "smupar_lr_only": _ABLATION,
}


class Parametrization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of rules and the base hyper-parameters that it transfers.

    Parameters
    ----------
    name :
        Of the table of rules.
    weight_decay_scaling :
        AdamW decays by lr x weight_decay a step. `none` takes weight_decay as the table has it: unscaled in SP, μP and
        SμPar, so that the product shrinks with the learning rate of wide models (ModelZoo, the SμPar authors), and
        m_d times as large in CompleteP. `constant_lr_wd` divides it by the learning-rate multiplier, so that the
        product, and with it the memory 1 / (lr x weight_decay) in steps, is the base model's for every tensor (mup's
        MuAdamW). To keep that memory as a share of a run of another length, divide weight_decay itself by the ratio
        of steps: no table of tensors can know how long a run is.
    depth_alpha :
        Of CompleteP, in [0.5, 1].

    Raises
    ------
    SpecError
        When the parameterization is unknown, or CompleteP has no base depth to scale from.
    """

    name: ParametrizationName
    base: BaseHyperparameters
    weight_decay_scaling: WeightDecayScaling = "none"
    depth_alpha: float = 1.0

    def __post_init__(self) -> None:
        rules_of(self.name, self.depth_alpha)  # raises
        if self.name == "completep" and self.base.depth_base is None:
            raise SpecError(
                "completep transfers over depth, and these base hyper-parameters have no depth_base: "
                "say how many layers the model had that they were tuned on"
            )

    @property
    def rules(self) -> Table:
        return rules_of(self.name, self.depth_alpha)


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
    eps :
        AdamW's epsilon.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    density: float
    start: Start
    init_std: float
    lr_multiplier: float
    lr: float
    weight_decay: float
    eps: float


def forward_multipliers(parametrization: Parametrization, shape: ModelShape) -> ForwardMultipliers:
    """The numbers that enter the forward pass.

    Source: SμPar (arXiv 2405.15743), Table 1; the attention scale 1/d_head belongs to all but SP. CompleteP (arXiv
    2505.01618), Table 1, for the residual branches.
    """
    base = parametrization.base
    if parametrization.name == "sp":
        return ForwardMultipliers(embedding=1.0, attention_scale=shape.d_head**-0.5, logits=1.0)
    factors = factors_of(shape, base, 1.0)
    is_deep = parametrization.name == "completep"
    return ForwardMultipliers(
        embedding=base.embedding_multiplier,
        attention_scale=base.attention_multiplier / shape.d_head,
        logits=base.logits_multiplier / factors.m_d,
        residual=float(factors.m_depth**-parametrization.depth_alpha) if is_deep else 1.0,
    )


def effective_table(
    model: "nn.Module",
    shape: ModelShape,
    parametrization: Parametrization,
    densities: Mapping[str, float],
    weight_decay: float,
    eps: float,
) -> list[EffectiveTensor]:
    """One row for each parameter of the model, in its order.

    Parameters
    ----------
    model :
        On any device, the meta device included; its modules declare their roles (`models.roles`).
    densities :
        Full parameter name -> density in (0, 1]; a parameter that is not there is dense.
    weight_decay, eps :
        AdamW's coefficient for decayed tensors, and its epsilon, of the base model.

    Raises
    ------
    SpecError
        When a parameter has no role, or a density is out of range or for a parameter that the model lacks.
    """
    roles = parameter_roles(model)
    for name, density in densities.items():
        choose(name, roles, "parameter with a density")
        check_number("density", density)
    base, rules = parametrization.base, parametrization.rules
    rows = []
    for name, parameter in model.named_parameters():
        role, density = roles[name], densities.get(name, 1.0)
        rule, factors = rules[role], factors_of(shape, base, density)
        multiplier = rule.lr_multiplier(factors)
        row = EffectiveTensor(
            name=name,
            role=role,
            shape=tuple(parameter.shape),
            density=density,
            start=rule.start,
            init_std=rule.init_std(base.sigma(role), factors),
            lr_multiplier=multiplier,
            lr=base.peak_lr * multiplier,
            weight_decay=_weight_decay(rule, parametrization.weight_decay_scaling, weight_decay, factors),
            eps=rule.eps.of(eps, factors),
        )
        rows.append(row)
    return rows


def caveats(parametrization_name: str, algorithm_name: str) -> tuple[str, ...]:
    """What is not known to transfer when this parameterization trains under this sparsity algorithm, as sentences.

    Parameters
    ----------
    algorithm_name :
        `dense`, `static` (random masks that never change), or any other, such as `gmp`, `set`, `rigl`, or `topk` for
        static masks that magnitude chose.

    Raises
    ------
    SpecError
        When the parameterization is unknown.

    Source: SμPar (arXiv 2405.15743), Section 4.4: under RigL and GMP no parameterization transfers, and SμPar
    over-corrects, because survivors that magnitude chose are larger than Gaussian; the same holds for masks chosen by
    magnitude at the start.
    """
    choose(parametrization_name, PARAMETRIZATIONS, "parametrization")
    if algorithm_name == "dense":
        return ()
    found = [_KNOWN_LIMITS[parametrization_name]] if parametrization_name in _KNOWN_LIMITS else []
    if algorithm_name == "spdf":
        found.append(
            "after masks are lifted a dense model trains at the rates of the sparse one: outside SμPar's theory"
        )
    elif algorithm_name not in _MASKS_IN_THEORY:
        found.append(
            f"masks of {algorithm_name} are outside the theory of SμPar, which assumes random masks that never change: "
            "no learning rate is known to transfer over density"
        )
    return tuple(found)


def _weight_decay(rule: Rule, scaling: WeightDecayScaling, weight_decay: float, factors: Factors) -> float:
    if not rule.is_decayed:
        return 0.0
    if scaling == "constant_lr_wd":
        return weight_decay / rule.lr_multiplier(factors)
    return rule.weight_decay.of(weight_decay, factors)
