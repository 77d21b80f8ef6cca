"""The benchmark of the trainer measures what it says it measures."""

import pytest

from training.speed import measure_speed
from wse_sim.errors import SpecError


def test_speed_is_tokens_over_time() -> None:
    dense, masked = measure_speed("10m", densities=(1.0, 0.25), n_steps=1, n_threads=1, batch_size=1, seq_len=16)
    assert (dense.density, masked.density) == (1.0, 0.25)
    assert dense.n_params == masked.n_params == 10_844_160
    assert 0 < dense.tokens_per_s == dense.best_tokens_per_s  # one step is median and best
    per_token = dense.dense_flops_per_s / dense.tokens_per_s
    # 6 N + 12 L d s; a quotient of two rates is rounded
    assert per_token == pytest.approx(6 * dense.n_params + 12 * 6 * 384 * 16, rel=1e-12)
    assert masked.dense_flops_per_s / masked.tokens_per_s == pytest.approx(per_token)


def test_a_sequence_longer_than_the_model_reads_is_refused() -> None:
    with pytest.raises(SpecError, match="at most 256 tokens"):
        measure_speed("10m", n_steps=1, n_threads=1, seq_len=257)


def test_an_unknown_workload_is_told() -> None:
    with pytest.raises(SpecError, match="unknown workload '10b'"):
        measure_speed("10b", n_steps=1, n_threads=1)
