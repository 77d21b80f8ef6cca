"""Where RigL may grow, kept from the dense gradient while that is there.

A dense gradient lasts until the next one; the update that it is for comes after the optimizer step. Most of it can be
forgotten: of the places where nothing lives, only as many as will grow may grow, those of the largest gradient.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.masks import Scores
from training.sparsity.balance import balance_of
from training.sparsity.choosing import could_grow
from training.sparsity.updater import MaskUpdater, magnitude
from training.streaming.blocks import Blocks
from training.streaming.store import Store, StreamedMatrix
from wse_sim.workload.sparsity import exact_nonzeros

_FORGOTTEN = -0.5  # below every score, above a place that is taken


class Growth:
    """Candidates for growth, from gradient to update."""

    def __init__(self, updater: MaskUpdater, store: Store, blocks: Blocks) -> None:
        self._updater, self._store, self._blocks = updater, store, blocks
        self._scale = 1.0

    def keep(self, matrix: StreamedMatrix, dense: Tensor, step: int) -> None:
        """Keep what the update at `step`, if there is one, will ask of a matrix's dense gradient.

        Parameters
        ----------
        dense :
            (n_weights,), any float.
        """
        found, shape = self._updater.grown_by_gradient(matrix.name, step), matrix.layout.shape
        if found is None:
            return
        (group, planned), self._scale = found, 1.0
        scores = magnitude(dense).reshape(shape)
        n_live = exact_nonzeros(scores.size, group.densities(group.density(planned))[matrix.name])
        candidates = could_grow(
            matrix.layout.mask(),
            scores,
            n_live,
            group.drop_fraction(planned),
            balance_of(group.algorithm, matrix.name, shape),
        )
        places = np.flatnonzero(candidates)
        kept = scores.reshape(-1)[places]
        self._updater.keep_gradient(matrix.name, lambda: self._scores(matrix, places, kept))

    def scale(self, factor: float) -> None:
        """Clipping has scaled the gradients of live weights."""
        self._scale = factor

    def _scores(self, matrix: StreamedMatrix, places: npt.NDArray[np.int64], kept: Scores) -> Scores:
        """(shape of the matrix): |gradient| where something lives or may grow."""
        live = torch.from_numpy(magnitude(self._blocks.live_gradient(matrix)))
        scores = self._store.expanded(matrix.layout, live).numpy()[: matrix.layout.n_weights]
        scores[~matrix.layout.mask().reshape(-1)] = _FORGOTTEN
        scores[places] = kept * np.float32(self._scale)
        return scores.reshape(matrix.layout.shape)
