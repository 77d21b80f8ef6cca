"""Bytes that weights and gradients take on the wire."""


def weight_stream_bytes(n_weights: float, density: float, dense_weight_bytes: float, nonzero_bytes: float) -> float:
    """Bytes to send `n_weights` weights of which the fraction `density` is not masked, once.

    The smaller of two formats: every weight by value, or every non-zero with its index. At 2 and 4 bytes they are
    equal at density 0.5.

    Parameters
    ----------
    dense_weight_bytes :
        A weight in the dense format (2: a 16-bit value).
    nonzero_bytes :
        A non-zero in the sparse format (4: a 16-bit value and a 16-bit index).

    Source: Cerebras SDK Technical Overview (16-bit data and 16-bit index in one 32-bit wavelet).
    """
    return min(dense_weight_bytes * n_weights, nonzero_bytes * density * n_weights)


def gradient_bytes(n_weights: float, density: float, gradient_bytes_per_weight: float) -> float:
    """Bytes to send the gradients of the weights that are not masked, once.

    Parameters
    ----------
    gradient_bytes_per_weight :
        4: the white paper's 32 bits per parameter, direction and iteration.

    Source: Hall, Schreiber, Lie, weight-streaming white paper (Cerebras).
    """
    return gradient_bytes_per_weight * density * n_weights
