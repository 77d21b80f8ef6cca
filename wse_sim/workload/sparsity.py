"""How many weights a density leaves, and how it is shared out among matrices."""

import math
from collections.abc import Mapping

from wse_sim.errors import SpecError


def exact_nonzeros(n_weights: int, density: float) -> int:
    """Weights that any mask of `density` keeps of a tensor of `n_weights`: the one place where it is rounded.

    Raises
    ------
    SpecError
        When it keeps none.

    Source: `cerebras_pytorch.sparse` keeps the top int((1 - sparsity) * numel) scores of each tensor.
    """
    n_nonzeros = int(density * n_weights)
    if n_nonzeros < 1:
        raise SpecError(
            f"density {density} leaves none of a tensor's {n_weights} weights: it must be at least {1 / n_weights:.2g}"
        )
    return n_nonzeros


def uniform_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The same density for every tensor."""
    return dict.fromkeys(shapes, density)


def erk_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Densities in proportion to sum(shape) / prod(shape), at most 1, that keep `density` of all weights together.

    Small and narrow tensors stay denser than large ones. Where a tensor would pass 1 it stays dense and the others
    share what is left. The counts that `exact_nonzeros` makes of the densities add up to those of `density` of all
    weights; what rounding leaves over goes to the tensors that lost most by it.

    Parameters
    ----------
    shapes :
        Of the tensors, by name.
    density :
        Of all of them together, in (0, 1].

    Source: Erdős-Rényi, Mocanu et al. (arXiv 1707.04780) Section 2; kernel form and cap, RigL (arXiv 1911.11134)
    Section 3.
    """
    numels = {name: math.prod(shape) for name, shape in shapes.items()}
    n_live = exact_nonzeros(sum(numels.values()), density)
    wanted = _erk_counts(shapes, numels, n_live)
    counts = {name: int(count) for name, count in wanted.items()}
    n_over = n_live - sum(counts.values())
    by_loss = sorted(counts, key=lambda name: counts[name] - wanted[name])
    for name in by_loss[:n_over]:  # fewer than lost something, so none that is dense
        counts[name] += 1
    return {name: _density_of_count(counts[name], numels[name]) for name in shapes}


def _erk_counts(shapes: Mapping[str, tuple[int, ...]], numels: Mapping[str, int], n_live: int) -> dict[str, float]:
    """Non-zeros of each tensor before rounding, `n_live` in all."""
    dense: set[str] = set()
    while True:
        left = n_live - sum(numels[name] for name in dense)
        free = [name for name in shapes if name not in dense]
        # density = scale x sum(shape) / numel, so a tensor keeps scale x sum(shape) weights.
        scale = left / sum(sum(shapes[name]) for name in free) if free else 0.0
        counts = {name: numels[name] if name in dense else scale * sum(shapes[name]) for name in shapes}
        over = {name for name in free if counts[name] > numels[name]}
        if not over:
            return counts
        dense |= over


def _density_of_count(n_nonzeros: int, n_weights: int) -> float:
    """The smallest density, to a rounding error, of which `exact_nonzeros` makes `n_nonzeros`."""
    density = n_nonzeros / n_weights
    while int(density * n_weights) < n_nonzeros:
        density = math.nextafter(density, 1.0)
    return density
