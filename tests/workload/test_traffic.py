"""Bytes on the wire."""

import pytest

from wse_sim.workload.traffic import gradient_bytes, weight_stream_bytes


def test_dense_weights_go_by_value() -> None:
    assert weight_stream_bytes(1000, 1.0, dense_weight_bytes=2, nonzero_bytes=4) == 2000


def test_sparse_weights_carry_their_index() -> None:
    assert weight_stream_bytes(1000, 0.25, dense_weight_bytes=2, nonzero_bytes=4) == 1000


@pytest.mark.parametrize("density", [0.5, 0.6, 0.75, 0.99])
def test_above_half_density_the_dense_format_is_smaller(density: float) -> None:
    assert weight_stream_bytes(1000, density, dense_weight_bytes=2, nonzero_bytes=4) == 2000


def test_only_kept_weights_have_gradients() -> None:
    assert gradient_bytes(1000, 0.25, gradient_bytes_per_weight=4) == 1000
