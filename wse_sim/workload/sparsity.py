"""How many weights a density leaves."""


def exact_nonzeros(n_weights: int, density: float) -> int:
    """Weights that any mask of `density` keeps of a tensor of `n_weights`: at least one.

    Source: `cerebras_pytorch.sparse` keeps the top int((1 - sparsity) * numel) scores of each tensor.
    """
    return max(1, int(density * n_weights))
