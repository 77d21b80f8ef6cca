"""How many weights a density leaves."""

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
