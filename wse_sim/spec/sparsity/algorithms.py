"""The sparsity algorithms as records of what they need: a run's configuration holds one of them, or several.

Names and arguments are those of `cerebras_pytorch.sparse` 2.10; SPDF and the Erdős-Rényi distribution are ours.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.hyper import Hyperparameter, is_constant
from wse_sim.spec.sparsity.updates import Update

InitMethod = Literal["random", "topk", "from_zeros", "checkerboard"]
Distribution = Literal["uniform", "erk"]


class Masking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all algorithms share.

    Parameters
    ----------
    init_method :
        Which weights live at first: `random`; `topk`, those of largest magnitude; `from_zeros`, those that are not 0;
        `checkerboard`, as even as can be over rows and columns.
    distribution :
        `uniform`: each tensor has the same density; `erk`: smaller tensors are denser (`erk_densities`).
    param_filter :
        Glob, or globs, of full parameter names; without one, the hidden matrices, by their role.
    """

    init_method: InitMethod = "random"
    distribution: Distribution = "uniform"
    param_filter: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in ("sparsity", "drop_fraction"):  # as numbers; what a schedule gives is clamped
            value = getattr(self, key, None)
            if isinstance(value, int | float) and not 0 <= value < 1:
                raise SpecError(f"{key} is {value}, it must be at least 0 and below 1")


class Static(Masking, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="static", tag_field="algorithm"):
    """Masks that never change.

    Parameters
    ----------
    sparsity :
        Fraction of zeros, in [0, 1); None = 1 - the run's density. So in all algorithms.
    """

    sparsity: float | None = None


class SPDF(Masking, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="spdf", tag_field="algorithm"):
    """Sparse pre-training, dense fine-tuning: static masks that are lifted at a step.

    Parameters
    ----------
    sparsity :
        Until they are lifted.
    lift_at :
        Step, or fraction of the run, from which every weight lives; lifted ones start at 0.

    Source: SPDF (arXiv 2303.10464).
    """

    sparsity: float | None = None
    lift_at: int | float


class GMP(Masking, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gmp", tag_field="algorithm"):
    """Gradual magnitude pruning: each update keeps the weights of largest magnitude at the sparsity scheduled.

    Parameters
    ----------
    sparsity :
        A schedule; None = cubic from 0 at the first update to 1 - density at the last.
    update :
        None = at every step.

    Source: Zhu and Gupta (arXiv 1710.01878).
    """

    sparsity: Hyperparameter | None = None
    update: Update | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sparsity is not None and is_constant(self.sparsity):
            raise SpecError('gmp: a constant sparsity never changes; algorithm = "static" would be right')


class SET(Masking, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="set", tag_field="algorithm"):
    """Sparse evolutionary training: drops the smallest live weights and grows as many at random.

    Parameters
    ----------
    sparsity :
        A number or a schedule; None = 1 - the run's density.
    update :
        None = at every step.
    drop_fraction :
        Of the live weights, at each update.

    Source: Mocanu et al. (arXiv 1707.04780).
    """

    sparsity: Hyperparameter | None = None
    update: Update | None = None
    drop_fraction: Hyperparameter = 0.3


class RigL(Masking, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="rigl", tag_field="algorithm"):
    """The rigged lottery: drops the smallest live weights and grows those whose dense gradient is largest.

    Parameters
    ----------
    sparsity, update, drop_fraction :
        As in `SET`.
    balance_in_groups, balance_out_groups :
        Slices of equal size of the input, or output, dimension, each of which keeps as many weights as the others; at
        most one of the two.

    Source: Evci et al. (arXiv 1911.11134).
    """

    sparsity: Hyperparameter | None = None
    update: Update | None = None
    drop_fraction: Hyperparameter = 0.3
    balance_in_groups: int | None = None
    balance_out_groups: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.balance_in_groups is not None and self.balance_out_groups is not None:
            raise SpecError("rigl: give balance_in_groups or balance_out_groups, not both")


Dynamic: TypeAlias = GMP | SET | RigL
Algorithm: TypeAlias = Static | SPDF | GMP | SET | RigL
ALGORITHMS: Mapping[str, type[Algorithm]] = {"static": Static, "spdf": SPDF, "gmp": GMP, "set": SET, "rigl": RigL}


def algorithm_name(algorithm: Algorithm) -> str:
    """As a configuration spells it."""
    return next(name for name, kind in ALGORITHMS.items() if isinstance(algorithm, kind))


def group(algorithms: Mapping[str, Algorithm]) -> tuple[Algorithm, ...]:
    """Several algorithms for one run, each for the parameters that its glob matches; the first match wins."""
    return tuple(msgspec.structs.replace(algorithm, param_filter=pattern) for pattern, algorithm in algorithms.items())
