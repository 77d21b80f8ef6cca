"""Parameterizations as tables of rules by role: standard, maximal-update, sparse maximal-update, and CompleteP.

m_d = d_model / d_base, m_rho = density / density_base, m_L = n_layers / depth_base, L = n_layers. A rule holds
exponents of these, so the tables below read like the tables of the papers: Cerebras-GPT (arXiv 2304.03208) Table 14 for
μP, SμPar (arXiv 2405.15743) Table 1 for SP, μP and SμPar, CompleteP (arXiv 2505.01618) Table 1. The factor (2 L)^-1/2
on residual outputs is GPT-2's, and Cerebras-GPT's. Layers are taken to widen together: d_ff in proportion to d_model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from models.bases import BaseHyperparameters
from models.roles import Role
from wse_sim.errors import SpecError, choose
from wse_sim.spec.model import ModelShape

ParametrizationName = Literal["sp", "mup", "smupar", "completep", "smupar_init_only", "smupar_lr_only"]
PARAMETRIZATIONS: tuple[ParametrizationName, ...] = get_args(ParametrizationName)
Start = Literal["normal", "one", "zero"]
Table = Mapping[Role, "Rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """How one tensor of one model differs from the base: the four numbers that rules take powers of.

    Parameters
    ----------
    m_d, m_rho, m_depth :
        Width, density of the tensor, and number of layers, as ratios to the base's.
    n_layers :
        Of the model itself.
    """

    m_d: float
    m_rho: float
    m_depth: float
    n_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """m_d^width x m_rho^density x m_L^depth x (2 L)^twice_layers."""

    width: float = 0.0
    density: float = 0.0
    depth: float = 0.0
    twice_layers: float = 0.0

    def of(self, value: float, factors: Factors) -> float:
        """`value` times this power of the factors."""
        scaled = value * factors.m_d**self.width * factors.m_rho**self.density
        return float(scaled * factors.m_depth**self.depth * (2 * factors.n_layers) ** self.twice_layers)

    def symbols(self, value: str) -> str:
        """The same as text: `σ m_d^-1/2`."""
        exponents = {"m_d": self.width, "m_rho": self.density, "m_L": self.depth, "(2L)": self.twice_layers}
        powers = (f"{name}{_exponent(exponent)}" for name, exponent in exponents.items() if exponent)
        return " ".join((value, *powers))

    @property
    def inverse(self) -> "Power":
        return Power(width=-self.width, density=-self.density, depth=-self.depth, twice_layers=-self.twice_layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one role is initialized and trained.

    Parameters
    ----------
    start :
        `normal`: truncated normal; `one`, `zero`: constant.
    init, lr, weight_decay, eps :
        Factors on sigma (the standard deviation), eta, lambda and AdamW's epsilon of the base.
    is_decayed :
        Weight decay acts on it.
    """

    start: Start = "normal"
    init: Power = Power()
    lr: Power = Power()
    weight_decay: Power = Power()
    eps: Power = Power()
    is_decayed: bool = True

    def init_std(self, sigma: float, factors: Factors) -> float:
        """Standard deviation before truncation; 0 for a constant."""
        return self.init.of(sigma, factors) if self.start == "normal" else 0.0

    def lr_multiplier(self, factors: Factors) -> float:
        """Factor on the base learning rate."""
        return self.lr.of(1.0, factors)


def factors_of(shape: ModelShape, base: BaseHyperparameters, density: float) -> Factors:
    """The factors of a tensor of that density in a model of that shape; m_L is 1 where the base has no depth."""
    return Factors(
        m_d=shape.d_model / base.d_base,
        m_rho=density / base.density_base,
        m_depth=1.0 if base.depth_base is None else shape.n_layers / base.depth_base,
        n_layers=shape.n_layers,
    )


def rules_of(name: str, depth_alpha: float = 1.0) -> Table:
    """The table of rules of a parameterization.

    `smupar_init_only` and `smupar_lr_only` are the ablations of SμPar, Figures 13 and 14: one correction for density
    without the other.

    Parameters
    ----------
    depth_alpha :
        Exponent of CompleteP in [0.5, 1]: residual branches are multiplied by m_L^-depth_alpha. The others ignore it.

    Raises
    ------
    SpecError
        When the parameterization is unknown or depth_alpha out of range.
    """
    if not 0.5 <= depth_alpha <= 1:
        raise SpecError(f"depth_alpha is {depth_alpha}, it must be in [0.5, 1]; 1 is CompleteP")
    if choose(name, PARAMETRIZATIONS, "parametrization") == "completep":
        return _completep(depth_alpha)
    return _TABLES[name]


def _completep(alpha: float) -> Table:
    """CompleteP's table. At density 1 it is the paper's; the powers of m_rho are SμPar's, whose argument about the live
    terms of a sum holds in each layer whatever the depth.

    Epsilon must shrink as gradients do: with width in every tensor, with depth inside the residual branches alone. The
    authors' code scales it by depth in every tensor; the paper's table does not, and neither does this.
    """
    in_branch = Power(width=-1.0, depth=-alpha)
    hidden = Rule(
        init=Power(width=-0.5, density=-0.5),
        lr=Power(width=-1.0, density=-1.0, depth=alpha - 1.0),
        weight_decay=Power(width=1.0, density=1.0),
        eps=in_branch,
    )
    vector_lr, outside = Power(depth=alpha - 1.0), Power(width=-1.0)
    return {
        "embedding": Rule(eps=outside),
        "position": Rule(eps=outside),
        "hidden_in": hidden,
        "hidden_out": hidden,
        "norm": Rule(start="one", lr=vector_lr, eps=in_branch, is_decayed=False),
        "bias": Rule(start="zero", lr=vector_lr, eps=in_branch, is_decayed=False),
        "norm_out": Rule(start="one", eps=outside, is_decayed=False),
        "bias_out": Rule(start="zero", eps=outside, is_decayed=False),
        "output": Rule(eps=outside),
    }


def _table(*, init_width: float, init_density: float, lr_width: float, lr_density: float) -> Table:
    """SP, μP, SμPar and its ablations: they differ in the hidden matrices alone."""
    gain, offset = Rule(start="one", is_decayed=False), Rule(start="zero", is_decayed=False)
    init, lr = Power(width=init_width, density=init_density), Power(width=lr_width, density=lr_density)
    residual_init = Power(width=init_width, density=init_density, twice_layers=-0.5)
    return {
        "embedding": Rule(),
        "position": Rule(),
        "hidden_in": Rule(init=init, lr=lr),
        "hidden_out": Rule(init=residual_init, lr=lr),
        "norm": gain,
        "bias": offset,
        "norm_out": gain,
        "bias_out": offset,
        "output": Rule(),
    }


_TABLES: Mapping[str, Table] = {
    "sp": _table(init_width=0.0, init_density=0.0, lr_width=0.0, lr_density=0.0),
    "mup": _table(init_width=-0.5, init_density=0.0, lr_width=-1.0, lr_density=0.0),
    "smupar": _table(init_width=-0.5, init_density=-0.5, lr_width=-1.0, lr_density=-1.0),
    "smupar_init_only": _table(init_width=-0.5, init_density=-0.5, lr_width=-1.0, lr_density=0.0),
    "smupar_lr_only": _table(init_width=-0.5, init_density=0.0, lr_width=-1.0, lr_density=-1.0),
}


def _exponent(value: float) -> str:
    return "" if value == 1 else f"^{Fraction(value).limit_denominator(100)}"
