"""Changes the masks of a run at their update steps, and counts what changed.

Its state is the masks, the step and, to count with, where weights have ever lived: nothing that a checkpoint lacks.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import torch

from models.sparse import Mask, Masks, Scores, philox
from training.sparsity.algorithms import GMP, SET, RigL
from training.sparsity.balance import balance_of
from training.sparsity.choosing import drop_and_grow, highest
from training.sparsity.plan import MaskedGroup, SparsityPlan
from wse_sim.workload.sparsity import exact_nonzeros

_MOMENTS = ("exp_avg", "exp_avg_sq")
_EXACT_BITS = 53  # of a float64


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


class MaskUpdater:
    """The masks of one run in time.

    Parameters
    ----------
    optimizer :
        Holds the moments of the masked parameters.
    ever_live :
        Of a resumed dynamic run, by parameter name; None at the start.
    """

    def __init__(
        self,
        plan: SparsityPlan,
        masks: Masks,
        optimizer: torch.optim.AdamW,
        *,
        seed: int,
        ever_live: Mapping[str, Mask] | None = None,
    ) -> None:
        self.plan = plan
        self._masks, self._optimizer, self._seed = masks, optimizer, seed
        self._gradients: dict[str, Scores] = {}
        start = ever_live or {name: masks.mask(name).numpy() for name in masks}
        self.ever_live = {name: mask.copy() for name, mask in start.items()} if plan.is_dynamic else {}
        self.density = self._hidden_density()

    def keep_gradients(self, step: int) -> None:
        """Keep the dense gradients that the update at `step` will ask for; call before pruned ones are zeroed."""
        for group in self._due(step):
            if isinstance(group.algorithm, RigL):
                for name in group.shapes:
                    self._gradients[name] = _magnitude(self._masks.weight(name))

    def update(self, step: int) -> MaskUpdate | None:
        """Change the masks that are due after `step` optimizer steps, the last of which was just done."""
        tensors = {
            name: self._updated(group, name, density, step)
            for group in self._due(step)
            for name, density in group.densities(group.density(step)).items()
        }
        self._gradients.clear()
        if not tensors:
            return None
        self.density = self._hidden_density()
        n_weights = {name: self._masks.mask(name).numel() for name in tensors}
        n_all = sum(n_weights.values())
        return MaskUpdate(
            step=step,
            n_dropped=sum(tensor.n_dropped for tensor in tensors.values()),
            n_grown=sum(tensor.n_grown for tensor in tensors.values()),
            density=sum(tensors[name].density * n for name, n in n_weights.items()) / n_all,
            itop_rate=sum(tensors[name].itop_rate * n for name, n in n_weights.items()) / n_all,
            tensors=tensors,
        )

    def _due(self, step: int) -> list[MaskedGroup]:
        return [group for group in self.plan.groups if group.is_due(step)]

    def _updated(self, group: MaskedGroup, name: str, density: float, step: int) -> TensorUpdate:
        before = self._masks.mask(name).numpy().copy()
        after = self._next_mask(group, name, before, exact_nonzeros(before.size, density), step)
        self._masks.replace(name, after)
        for moment in _MOMENTS:
            self._masks.select(name, self._optimizer.state[self._masks.weight(name)][moment])
        ever_live = after
        if self.plan.is_dynamic:
            ever_live = self.ever_live[name]
            ever_live |= after
        return TensorUpdate(
            n_dropped=int(np.count_nonzero(before & ~after)),
            n_grown=int(np.count_nonzero(after & ~before)),
            density_target=density,
            density=int(np.count_nonzero(after)) / after.size,
            itop_rate=int(np.count_nonzero(ever_live)) / after.size,
        )

    def _next_mask(self, group: MaskedGroup, name: str, mask: Mask, n_live: int, step: int) -> Mask:
        algorithm, weight = group.algorithm, self._masks.weight(name).detach().numpy()
        balance = balance_of(algorithm, name, mask.shape)
        if isinstance(algorithm, GMP):
            return highest(np.abs(weight), n_live, balance)
        if isinstance(algorithm, SET | RigL):
            growth = self._gradients[name] if isinstance(algorithm, RigL) else self._draw(name, mask, group, step)
            return drop_and_grow(mask, weight, growth, n_live, group.drop_fraction(step), balance)
        return np.ones_like(mask)  # SPDF lifts

    def _draw(self, name: str, mask: Mask, group: MaskedGroup, step: int) -> Scores:
        """SET's scores for growth: of (seed, name, number of the update), so that every rank draws the same."""
        draws = philox(self._seed, "regrow", name, group.n_updates(step)).random_raw(mask.size)
        return (draws >> np.uint64(64 - _EXACT_BITS)).astype(np.float64).reshape(mask.shape)

    def _hidden_density(self) -> float:
        """Of the hidden matrices together, as it is now."""
        n_pruned = sum(
            self._masks.mask(name).numel() - int(torch.count_nonzero(self._masks.mask(name)))
            for name in self._masks
            if name in self.plan.hidden
        )
        return 1.0 - n_pruned / self.plan.n_hidden


def _magnitude(weight: torch.nn.Parameter) -> Scores:
    """|gradient|; where it is not a finite number, 0: a NaN must not win."""
    assert weight.grad is not None
    return weight.grad.abs().nan_to_num_(nan=0.0, posinf=0.0).numpy()
