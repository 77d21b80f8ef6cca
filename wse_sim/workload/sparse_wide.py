"""Sparse-Wide: a wider model with the same number of non-zero weights in its linear layers."""

import math

import msgspec

from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number


def sparse_wide(shape: ModelShape, density: float) -> ModelShape:
    """The model that is sparse at `density` and does about the linear layers' work of the dense `shape`.

    Every width grows by 1 / sqrt(density), so that density times the weights stays as it was; the number of heads
    stays, and the width is rounded to a multiple of it. Embeddings and attention grow too: they are not sparse, so the
    two models are iso-FLOP in the linear layers only.

    Parameters
    ----------
    density :
        Of the wide model, in (0, 1].

    Raises
    ------
    SpecError
        When the density is out of range.

    Source: Sparse-IFT (arXiv 2303.11525) Section 3, Sparse Wide; the rounding to whole heads (768 to 1092 at 12 heads
    and density 0.5) is that of the configurations in the Cerebras Model Zoo.
    """
    check_number("density", density)
    if density == 1.0:
        return shape
    factor = 1.0 / math.sqrt(density)
    d_head = round(shape.d_head * factor)
    # The rotation of rotary positions turns pairs of channels.
    d_head += d_head % 2 if shape.positions == "rotary" else 0
    d_model = d_head * shape.n_heads
    return msgspec.structs.replace(
        shape,
        name=f"{shape.name}-sparse-wide-{density:g}",
        d_model=d_model,
        d_ff=round(shape.d_ff * d_model / shape.d_model),
    )
