"""Which tensors of a model each algorithm masks, when, and to what density: a function of the configuration alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.masks import Mask
from models.roles import HIDDEN_ROLES, Role, parameter_roles
from training.sparsity.balance import balance_of
from training.sparsity.choosing import Weights, start_mask
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.sparsity.algorithms import GMP, SPDF, Algorithm, Dynamic, Static
from wse_sim.spec.sparsity.hyper import step_of, value_at
from wse_sim.spec.sparsity.updates import update_steps
from wse_sim.workload.sparsity import erk_densities, exact_nonzeros, uniform_densities

if TYPE_CHECKING:
    from torch import nn

_DISTRIBUTIONS = {"uniform": uniform_densities, "erk": erk_densities}
_DIGITS = 12  # 1 - 0.9 is 0.09999999999999998 in binary: one weight too few

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedGroup:
    """The tensors of one algorithm.

    Parameters
    ----------
    steps :
        At which its masks change, rising; step 0, where it is one of them, is the start.
    run_density :
        What holds where the algorithm names no sparsity of its own.
    """

    algorithm: Algorithm
    shapes: Shapes
    steps: Sequence[int]
    run_density: float
    n_steps: int

    @property
    def final_density(self) -> float:
        """That of the last update; of SPDF, the one before its masks are lifted."""
        return self.density(0 if isinstance(self.algorithm, SPDF) else self.steps[-1])

    def density(self, step: int) -> float:
        """The density to reach at an update step."""
        algorithm = self.algorithm
        if isinstance(algorithm, SPDF) and step >= self.steps[-1]:
            return 1.0
        if algorithm.sparsity is not None:
            return round(1.0 - value_at(algorithm.sparsity, step, self.n_updates(step), self.n_steps), _DIGITS)
        if isinstance(algorithm, GMP):
            first, last = self.steps[0], self.steps[-1]
            left = (last - step) / (last - first) if last > first else 0.0
            return round(self.run_density + (1.0 - self.run_density) * left**3, _DIGITS)
        return self.run_density

    def densities(self, density: float) -> dict[str, float]:
        """The density of each tensor that makes `density` of all of them."""
        return _DISTRIBUTIONS[self.algorithm.distribution](self.shapes, density)

    def n_live(self, step: int) -> dict[str, int]:
        """Weights of each tensor that live after the update at a step."""
        densities = self.densities(self.density(step))
        return {name: exact_nonzeros(_numel(shape), densities[name]) for name, shape in self.shapes.items()}

    def drop_fraction(self, step: int) -> float:
        """Of SET and RigL at an update step."""
        assert not isinstance(self.algorithm, Static | SPDF | GMP)
        return value_at(self.algorithm.drop_fraction, step, self.n_updates(step), self.n_steps)

    def n_updates(self, step: int) -> int:
        """Update steps before this one."""
        return self.steps.index(step) if step in self.steps else 0

    def is_due(self, step: int) -> bool:
        """Masks change at this step, which is not the start."""
        return step > 0 and step in self.steps

    @property
    def starts_dense(self) -> bool:
        """As in `cerebras_pytorch`: masks of ones until the first update, where that is not the start."""
        return isinstance(self.algorithm, Dynamic) and self.steps[0] > 0

    @property
    def has_plain_random_masks(self) -> bool:
        """The first masks are those of `models.masks.random_mask`: of seed, name and number alone."""
        is_balanced = any(balance_of(self.algorithm, name, shape).n_groups > 1 for name, shape in self.shapes.items())
        return self.algorithm.init_method == "random" and not self.starts_dense and not is_balanced

    def start_mask(self, name: str, weight: Weights, seed: int) -> Mask:
        """The first mask of one of its tensors."""
        if self.starts_dense:
            return np.ones(weight.shape, dtype=np.bool_)
        return start_mask(
            self.algorithm.init_method,
            weight,
            self.n_live(0)[name],
            seed=seed,
            name=name,
            balance=balance_of(self.algorithm, name, weight.shape),
        )

    def require_weights_left(self) -> None:
        """Raise SpecError when some update leaves a tensor empty, or the groups do not fit one."""
        lowest = min(self.steps, key=self.density) if self.algorithm.sparsity is not None else self.steps[-1]
        self.n_live(lowest)
        for name, shape in self.shapes.items():
            balance_of(self.algorithm, name, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsityPlan:
    """All masked tensors of a model.

    Parameters
    ----------
    hidden :
        Shapes of the hidden matrices, masked or not.
    """

    groups: tuple[MaskedGroup, ...]
    hidden: Shapes

    @property
    def shapes(self) -> Shapes:
        """Of all masked tensors, by parameter name."""
        return {name: shape for group in self.groups for name, shape in group.shapes.items()}

    @property
    def is_dynamic(self) -> bool:
        """Some masks change while the run trains."""
        return any(group.steps[-1] > 0 for group in self.groups)

    @property
    def densities(self) -> dict[str, float]:
        """The final density of each masked tensor; a parameterization corrects for it."""
        return {
            name: density for group in self.groups for name, density in group.densities(group.final_density).items()
        }

    @property
    def density(self) -> float:
        """The final density of the hidden matrices together."""
        if len(self.groups) == 1 and self.groups[0].shapes.keys() == self.hidden.keys():
            return self.groups[0].final_density
        densities = self.densities
        n_live = sum(densities.get(name, 1.0) * _numel(shape) for name, shape in self.hidden.items())
        return n_live / self.n_hidden

    @property
    def n_hidden(self) -> int:
        """Weights of the hidden matrices."""
        return sum(map(_numel, self.hidden.values()))

    def start_masks(self, model: "nn.Module", seed: int) -> dict[str, Mask]:
        """The first masks of an initialized model, by parameter name."""
        return {
            name: group.start_mask(name, model.get_parameter(name).detach().numpy(), seed)
            for group in self.groups
            for name in group.shapes
        }


def plan_sparsity(algorithms: Sequence[Algorithm], shape: ModelShape, *, density: float, n_steps: int) -> SparsityPlan:
    """What the algorithms do to a model in a run; at density 1, those that name no sparsity of their own do nothing.

    Parameters
    ----------
    density :
        Of the hidden matrices at the end of the run, in (0, 1].

    Raises
    ------
    SpecError
        When a filter matches nothing, an update leaves a tensor empty, or no step is an update step.
    """
    check_number("density", density)
    parameters = _parameters(shape)
    taken: set[str] = set()
    groups = []
    for algorithm in algorithms:
        names = [name for name in parameters if name not in taken and _is_masked(algorithm, name, parameters[name])]
        if not names:
            raise SpecError(
                f"sparsity: param_filter {algorithm.param_filter!r} matches no matrix that is left; "
                f"there are {', '.join(name for name, (_, dims) in parameters.items() if len(dims) > 1)}"
            )
        taken.update(names)
        if algorithm.sparsity is not None or density < 1.0:
            group = MaskedGroup(
                algorithm=algorithm,
                shapes={name: parameters[name][1] for name in names},
                steps=_steps(algorithm, n_steps),
                run_density=density,
                n_steps=n_steps,
            )
            group.require_weights_left()
            groups.append(group)
    hidden = {name: dims for name, (role, dims) in parameters.items() if role in HIDDEN_ROLES}
    return SparsityPlan(groups=tuple(groups), hidden=hidden)


def _is_masked(algorithm: Algorithm, name: str, parameter: tuple[Role, tuple[int, ...]]) -> bool:
    role, dims = parameter
    globs = algorithm.param_filter
    if globs is None:
        return role in HIDDEN_ROLES
    return len(dims) > 1 and any(fnmatchcase(name, glob) for glob in ((globs,) if isinstance(globs, str) else globs))


def _steps(algorithm: Algorithm, n_steps: int) -> Sequence[int]:
    if isinstance(algorithm, Dynamic):
        return update_steps(algorithm.update, n_steps)
    if isinstance(algorithm, Static):
        return (0,)
    lift = step_of(algorithm.lift_at, n_steps)
    if not 0 < lift < n_steps:
        raise SpecError(f"sparsity: lift_at is step {lift} of {n_steps}, it must leave steps before and after it")
    return (lift,)


@lru_cache(maxsize=64)
def _parameters(shape: ModelShape) -> Mapping[str, tuple[Role, tuple[int, ...]]]:
    """Role and shape of each parameter of a model, by name."""
    from models.gpt import meta_model  # with torch, which takes seconds to load: dense runs do without

    model = meta_model(shape)
    roles = parameter_roles(model)
    return {name: (roles[name], tuple(parameter.shape)) for name, parameter in model.named_parameters()}


def _numel(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
