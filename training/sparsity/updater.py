"""Changes the masks of a run at their update steps, and counts what changed.

Its state is the masks, the step and, to count with, where weights have ever lived: nothing that a checkpoint lacks.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from models.masks import Mask, PackedMask, Scores, packed, philox
from training.sparsity.balance import balance_of
from training.sparsity.choosing import Weights, drop_and_grow, highest
from training.sparsity.plan import MaskedGroup, SparsityPlan
from wse_sim.spec.sparsity.algorithms import GMP, SET, RigL
from wse_sim.workload.sparsity import exact_nonzeros

if TYPE_CHECKING:
    from torch import Tensor

_EXACT_BITS = 53  # of a float64
_ONES = np.array([byte.bit_count() for byte in range(256)], dtype=np.int64)


class TensorUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What a mask update did to one tensor; fields as in `MaskUpdate`."""

    n_dropped: int
    n_grown: int
    density_target: float
    density: float
    itop_rate: float


class MaskUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One mask update: a row of `sparsity.jsonl`.

    Parameters
    ----------
    step :
        Optimizer steps done.
    n_dropped, n_grown :
        Weights that lived before and no longer do, and the other way round.
    density :
        Of all tensors updated, after the update.
    itop_rate :
        Share of their weights that have ever lived: the in-time over-parameterization rate R_s (arXiv 2102.02887).
    tensors :
        The same for each, by parameter name; density_target is the number that was to be reached.
    """

    step: int
    n_dropped: int
    n_grown: int
    density: float
    itop_rate: float
    tensors: dict[str, TensorUpdate]


class MaskedTensors(Protocol):
    """The masked parameters of a model that trains, however they are kept."""

    def mask(self, name: str) -> Mask:
        """Where a parameter lives, in its shape."""

    def n_live(self, name: str) -> int:
        """Weights of a parameter that live."""

    def weight(self, name: str) -> Weights:
        """A parameter, zeros and all."""

    def replace(self, name: str, mask: Mask) -> None:
        """Another mask in the place of this one: what is newly pruned, or newly live, is 0 and has moments of 0."""


class MaskUpdater:
    """The masks of one run in time.

    Parameters
    ----------
    ever_live :
        Of a resumed dynamic run, packed, by parameter name; None at the start.
    n_skipped :
        Steps that changed nothing, up to now. An update that was due in one of them comes after the next step that
        does: masks that are to be lifted once must not stay for ever.
    """

    def __init__(
        self,
        plan: SparsityPlan,
        tensors: MaskedTensors,
        *,
        seed: int,
        ever_live: Mapping[str, PackedMask] | None = None,
        n_skipped: int = 0,
    ) -> None:
        self.plan, self._n_skipped = plan, n_skipped
        self._tensors, self._seed = tensors, seed
        self._groups = {name: group for group in plan.groups for name in group.shapes}
        self._growth: dict[str, Callable[[], Scores]] = {}
        self._updated: dict[str, TensorUpdate] = {}
        self.ever_live: dict[str, PackedMask] = {}
        if plan.is_dynamic:
            self.ever_live = dict(ever_live or {name: packed(tensors.mask(name)) for name in plan.shapes})
        self.density = self._hidden_density()

    def due(self, step: int) -> list[str]:
        """Parameters whose masks change after `step` optimizer steps."""
        return [name for group in self.plan.groups if self._planned(group, step) is not None for name in group.shapes]

    def grown_by_gradient(self, name: str, step: int) -> tuple[MaskedGroup, int] | None:
        """The group of a parameter, and the step the update at `step` was planned for, where it asks for its dense
        gradient; else None.
        """
        group = self._groups.get(name)
        planned = self._planned(group, step) if group and isinstance(group.algorithm, RigL) else None
        return None if group is None or planned is None else (group, planned)

    def keep_gradient(self, name: str, magnitude: Callable[[], Scores]) -> None:
        """Keep |dense gradient| of a parameter until its update; places that no update can grow may hold anything."""
        self._growth[name] = magnitude

    def update(self, step: int) -> MaskUpdate | None:
        """Change all masks that are due after `step` optimizer steps, the last of which was just done."""
        for name in self.due(step):
            self.update_tensor(name, step)
        return self.finish(step)

    def update_tensor(self, name: str, step: int) -> None:
        """Change one mask that is due; the parameter has had its optimizer step."""
        group = self._groups[name]
        planned = self._planned(group, step)
        assert planned is not None, (name, step)
        density = group.densities(group.density(planned))[name]
        before = self._tensors.mask(name)
        after = self._next_mask(group, name, before, exact_nonzeros(before.size, density), planned)
        self._tensors.replace(name, after)
        ever_live = self.ever_live[name]
        ever_live |= packed(after)
        self._updated[name] = TensorUpdate(
            n_dropped=int(np.count_nonzero(before & ~after)),
            n_grown=int(np.count_nonzero(after & ~before)),
            density_target=density,
            density=int(np.count_nonzero(after)) / after.size,
            itop_rate=_n_ones(ever_live) / after.size,
        )

    def finish(self, step: int) -> MaskUpdate | None:
        """What was changed, once every mask that is due was; None where none is."""
        tensors = {name: self._updated[name] for name in self.plan.shapes if name in self._updated}
        self._updated, self._n_skipped = {}, 0
        self._growth.clear()
        if not tensors:
            return None
        self.density = self._hidden_density()
        n_weights = {name: math.prod(self.plan.shapes[name]) for name in tensors}
        n_all = sum(n_weights.values())
        return MaskUpdate(
            step=step,
            n_dropped=sum(tensor.n_dropped for tensor in tensors.values()),
            n_grown=sum(tensor.n_grown for tensor in tensors.values()),
            density=sum(tensors[name].density * n for name, n in n_weights.items()) / n_all,
            itop_rate=sum(tensors[name].itop_rate * n for name, n in n_weights.items()) / n_all,
            tensors=tensors,
        )

    def skip(self) -> None:
        """The optimizer step was not taken: its gradient is forgotten, and what was due after it put off."""
        self._growth.clear()
        self._n_skipped += 1

    def _planned(self, group: MaskedGroup, step: int) -> int | None:
        """The step that the update after `step` steps was planned for; None where there is none."""
        return next((at for at in range(step, step - self._n_skipped - 1, -1) if group.is_due(at)), None)

    def _next_mask(self, group: MaskedGroup, name: str, mask: Mask, n_live: int, step: int) -> Mask:
        algorithm = group.algorithm
        balance = balance_of(algorithm, name, mask.shape)
        if isinstance(algorithm, GMP):
            return highest(np.abs(self._tensors.weight(name)), n_live, balance)
        if isinstance(algorithm, SET | RigL):
            growth = self._growth[name]() if isinstance(algorithm, RigL) else self._draw(name, mask, group, step)
            weight = self._tensors.weight(name)
            return drop_and_grow(mask, weight, growth, n_live, group.drop_fraction(step), balance)
        return np.ones_like(mask)  # SPDF lifts

    def _draw(self, name: str, mask: Mask, group: MaskedGroup, step: int) -> Scores:
        """SET's scores for growth: of (seed, name, number of the update), so that every rank draws the same."""
        draws = philox(self._seed, "regrow", name, group.n_updates(step)).random_raw(mask.size)
        return (draws >> np.uint64(64 - _EXACT_BITS)).astype(np.float64).reshape(mask.shape)

    def _hidden_density(self) -> float:
        """Of the hidden matrices together, as it is now."""
        hidden = self.plan.hidden
        n_pruned = sum(
            math.prod(shape) - self._tensors.n_live(name) for name, shape in self.plan.shapes.items() if name in hidden
        )
        return 1.0 - n_pruned / self.plan.n_hidden


def magnitude(gradient: "Tensor") -> Scores:
    """|gradient|; where it is not a finite number, 0: a NaN must not win."""
    return gradient.abs().nan_to_num_(nan=0.0, posinf=0.0).float().cpu().numpy()


def _n_ones(bits: PackedMask) -> int:
    return int(_ONES[bits].sum())
