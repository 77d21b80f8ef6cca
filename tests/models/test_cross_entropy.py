"""Cross-entropy by pieces: PyTorch's own is the oracle."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import cross_entropy
from models.cross_entropy import linear_cross_entropy
from models.targets import NOT_COUNTED

N_VOCAB, D_MODEL = 300, 16


def inputs(n_tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).requires_grad_()

    return normal(n_tokens, D_MODEL), normal(N_VOCAB, D_MODEL), torch.randint(N_VOCAB, (n_tokens,), generator=generator)


@pytest.fixture(params=[64, 130, 2**16])
def piece_tokens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens whose logits may be made together."""
    monkeypatch.setattr(cross_entropy, "_PIECE_NUMBERS", request.param * N_VOCAB)


@pytest.mark.parametrize("n_tokens", [1, 63, 64, 65, 200])
@pytest.mark.usefixtures("piece_tokens")
def test_loss_and_gradients_are_those_of_the_whole_logits(n_tokens: int) -> None:
    hidden_ND, output_VD, targets_N = inputs(n_tokens)
    whole = F.cross_entropy(hidden_ND @ output_VD.T, targets_N)
    pieces = linear_cross_entropy(hidden_ND, output_VD, targets_N)
    assert pieces.item() == pytest.approx(whole.item(), rel=1e-14)
    wanted = torch.autograd.grad(3.0 * whole, (hidden_ND, output_VD))
    found = torch.autograd.grad(3.0 * pieces, (hidden_ND, output_VD))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)  # sums in another order


@pytest.mark.usefixtures("piece_tokens")
def test_the_loss_is_the_same_where_no_gradient_is_wanted() -> None:
    with torch.no_grad():
        without = linear_cross_entropy(*inputs(200))
    assert torch.equal(without, linear_cross_entropy(*inputs(200)))


def test_large_logits_do_not_overflow() -> None:
    hidden_ND, output_VD, targets_N = inputs(8)
    large = linear_cross_entropy(1e4 * hidden_ND, output_VD, targets_N)
    assert large.item() == pytest.approx(F.cross_entropy(1e4 * hidden_ND @ output_VD.T, targets_N).item(), rel=1e-12)


def test_going_back_twice_is_refused() -> None:
    loss = linear_cross_entropy(*inputs(8))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_logit_that_is_no_number_makes_a_loss_that_is_none() -> None:
    hidden_ND, output_VD, targets_N = inputs(8)
    assert linear_cross_entropy(hidden_ND * float("nan"), output_VD, targets_N).isnan()


@pytest.mark.parametrize("n_counted", [1, 64, 150])
@pytest.mark.usefixtures("piece_tokens")
def test_targets_that_do_not_count_are_left_out_as_pytorch_leaves_them_out(n_counted: int) -> None:
    hidden_ND, output_VD, targets_N = inputs(200)
    left_out = torch.randperm(200, generator=torch.Generator().manual_seed(1))[n_counted:]
    targets_N[left_out] = NOT_COUNTED
    whole = F.cross_entropy(hidden_ND @ output_VD.T, targets_N, ignore_index=NOT_COUNTED)
    pieces = linear_cross_entropy(hidden_ND, output_VD, targets_N)
    assert pieces.item() == pytest.approx(whole.item(), rel=1e-14)
    wanted = torch.autograd.grad(whole, (hidden_ND, output_VD))
    found = torch.autograd.grad(pieces, (hidden_ND, output_VD))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(hidden_ND, output_VD, targets_N), pieces)


def test_where_no_target_counts_loss_and_gradient_are_zero() -> None:
    hidden_ND, output_VD, targets_N = inputs(8)
    loss = linear_cross_entropy(hidden_ND, output_VD, torch.full_like(targets_N, NOT_COUNTED))
    loss.backward()
    assert loss.item() == 0
    assert hidden_ND.grad is not None
    assert output_VD.grad is not None
    assert not hidden_ND.grad.any()
    assert not output_VD.grad.any()
