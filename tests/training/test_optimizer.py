"""Clipping scales the whole gradient, however long its tensors are."""

import pytest
import torch
from torch import nn

from training.optimizer import clip_gradient, norm

LONG = 50257 * 96  # as an embedding, long enough that a sum of squares in 32 bits loses four digits


def gradients(*lengths: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(length)) for length in lengths]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.numel(), generator=generator)
    return parameters


def exact_norm(parameters: list[nn.Parameter]) -> float:
    return float(torch.cat([parameter.grad.double() for parameter in parameters]).norm())  # type: ignore[union-attr]


@pytest.mark.parametrize("length", [1, 5, 2**21, 2**21 + 1, LONG])
def test_the_norm_of_a_gradient_is_exact_to_seven_digits_however_long_it_is(length: int) -> None:
    (parameter,) = gradients(length)
    assert parameter.grad is not None
    rel = 1e-6 if length > 2**21 else 5e-5  # up to there, PyTorch's own
    assert float(norm(parameter.grad)) == pytest.approx(exact_norm([parameter]), rel=rel)


def test_pytorchs_own_norm_of_a_long_gradient_is_not() -> None:
    """The reason for ours; where this fails one day, ours can go."""
    (parameter,) = gradients(LONG)
    assert parameter.grad is not None
    assert abs(float(torch.linalg.vector_norm(parameter.grad)) / exact_norm([parameter]) - 1.0) > 1e-5


@pytest.mark.parametrize("lengths", [(7, 1000), (LONG, 5)])
def test_a_gradient_above_the_clip_is_scaled_down_to_it(lengths: tuple[int, ...]) -> None:
    parameters = gradients(*lengths)
    before, clip = exact_norm(parameters), 0.5
    assert clip_gradient(parameters, clip) == pytest.approx(before, rel=1e-5)
    assert exact_norm(parameters) == pytest.approx(clip, rel=1e-5)


@pytest.mark.parametrize("lengths", [(7, 1000), (LONG, 5)])
@pytest.mark.parametrize("clip", [1e9, "none"])
def test_a_gradient_below_the_clip_is_left_alone(lengths: tuple[int, ...], clip: object) -> None:
    parameters = gradients(*lengths)
    copies = [parameter.grad.clone() for parameter in parameters]  # type: ignore[union-attr]
    clip_gradient(parameters, clip)  # type: ignore[arg-type]
    assert all(torch.equal(parameter.grad, copy) for parameter, copy in zip(parameters, copies, strict=True))  # type: ignore[arg-type]
