"""Cross-entropy of an output layer without all of its logits: a piece of them is made, used and forgotten at a time.

With a vocabulary of 50257 the logits of a batch are by far the largest tensor of a training step, and PyTorch's own
chain writes it three times over: the logits, their logarithms, their gradient. Here each piece becomes its own gradient
in place, while it is near the processor (`docs/results/trainer_speed.md`).

A negative target does not count, as with `ignore_index` of PyTorch's own: means are over the tokens that count. Where
none does, the mean is 0 (PyTorch's is no number).

Shapes of tensors: N tokens, D d_model, V vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Logits at a time: few enough to stay near the processor, tokens enough that matrix products do not notice.
_PIECE_NUMBERS = 2**24
_STEP = 64  # tokens: what vector units and caches divide


def linear_cross_entropy(hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Mean cross-entropy, in nats per token that counts, of the logits `hidden_ND @ output_VD.T`; a scalar.

    Under `torch.autocast` the products run in its precision; softmax, loss and sums over pieces stay in 32 bits.

    Parameters
    ----------
    targets_N :
        int64, in [0, V); negative where a token does not count.
    """
    if (places_N := counted_places(targets_N)) is not None:
        hidden_ND, targets_N = hidden_ND[places_N], targets_N[places_N]
    dtype = product_dtype(hidden_ND)
    if torch.is_grad_enabled():
        loss: Tensor = _LinearCrossEntropy.apply(hidden_ND, output_VD, targets_N, dtype)  # type: ignore[no-untyped-call]
        return loss
    total = hidden_ND.new_zeros((), dtype=_wide(dtype))
    for rows, logits_VN in _pieces(hidden_ND.to(dtype), output_VD.to(dtype)):
        total += _loss_and_exponentials(logits_VN, targets_N[rows])[0]
    return total / max(1, len(targets_N))


def counted_places(targets_N: Tensor) -> Tensor | None:
    """Where the targets are that count, (n,) int64; None where all do."""
    counts_N = targets_N >= 0
    return None if bool(counts_N.all()) else counts_N.nonzero()[:, 0]


def n_counted(targets: Tensor) -> int:
    """How many targets count."""
    return int(torch.count_nonzero(targets >= 0))


def product_dtype(x: Tensor) -> torch.dtype:
    """What matrix products of `x` run in: the precision of `torch.autocast`, where that is on."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def loss_and_hidden_gradient(
    hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor, by_output_VD: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean loss, (N, D) its derivative by `hidden_ND`, and what makes softmax of the logits of any tokens there are.

    The latter, (2, N): a token's largest logit, and the sum of the exponentials of its logits less that.

    Parameters
    ----------
    hidden_ND, output_VD :
        Of one dtype, that of the products and of the derivative.
    targets_N :
        All of them count; there may be none.
    by_output_VD :
        Takes the derivative by `output_VD` on top of what it holds; None = it is not wanted.
    """
    n_tokens = max(1, len(targets_N))
    total = hidden_ND.new_zeros((), dtype=_wide(hidden_ND.dtype))
    by_hidden_ND = torch.empty_like(hidden_ND)
    scale_2N = hidden_ND.new_empty((2, len(targets_N)), dtype=total.dtype)
    for rows, slope_VN in _pieces(hidden_ND, output_VD):
        loss, largest_N, sums_N = _loss_and_exponentials(slope_VN, targets_N[rows])
        scale_2N[0, rows], scale_2N[1, rows] = largest_N, sums_N
        slope_VN.div_(sums_N * n_tokens)
        slope_VN[targets_N[rows], torch.arange(len(sums_N), device=sums_N.device)] -= 1.0 / n_tokens
        product_VN = slope_VN.to(hidden_ND.dtype)
        torch.mm(product_VN.T, output_VD, out=by_hidden_ND[rows])
        if by_output_VD is not None:
            _add_product(by_output_VD, product_VN, hidden_ND[rows])
        total += loss
    return total / n_tokens, by_hidden_ND, scale_2N


def output_gradient(
    hidden_ND: Tensor, output_RD: Tensor, first_token: int, targets_N: Tensor, scale_2N: Tensor
) -> Tensor:
    """(R, D), in 32 bits: the derivative of the mean loss by rows of the output layer, their logits made once more.

    Parameters
    ----------
    output_RD :
        Rows of the output layer, from that of `first_token` on.
    scale_2N :
        From `loss_and_hidden_gradient`, of these tokens.
    """
    n_tokens, n_rows = len(targets_N), len(output_RD)
    largest_N, sums_N = scale_2N
    slope_RN = torch.mm(output_RD, hidden_ND.T).to(scale_2N.dtype).sub_(largest_N).exp_().div_(sums_N * n_tokens)
    places_N = ((targets_N >= first_token) & (targets_N < first_token + n_rows)).nonzero()[:, 0]
    slope_RN[targets_N[places_N] - first_token, places_N] -= 1.0 / n_tokens
    return torch.mm(slope_RN.to(hidden_ND.dtype), hidden_ND).to(scale_2N.dtype)


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient is made on the way forward, while a piece of the logits is there, and only scaled on the way back.

    The derivative of a token's loss by its logits is their softmax, less 1 at the target.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor, dtype: torch.dtype) -> Tensor:
        by_output_VD = torch.zeros_like(output_VD)
        loss, by_hidden_ND, _ = loss_and_hidden_gradient(
            hidden_ND.to(dtype), output_VD.to(dtype), targets_N, by_output_VD
        )
        ctx.save_for_backward(by_hidden_ND.to(hidden_ND.dtype), by_output_VD)
        return loss

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_hidden_ND, by_output_VD = ctx.saved_tensors
        # In place: PyTorch refuses to go back a second time through a saved tensor that has changed.
        return by_hidden_ND.mul_(outer[0]), by_output_VD.mul_(outer[0]), None, None


def _pieces(hidden_ND: Tensor, output_VD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Tokens whose logits are made together, and these, (V, N) of the piece, in memory that the next piece takes again.

    Transposed: with a large vocabulary, the product is half as fast again that way round. The logits have 32 bits
    at least, whatever they were made in.
    """
    n_tokens, n_vocab = len(hidden_ND), len(output_VD)
    n_rows = max(1, min(n_tokens, _STEP * max(1, _PIECE_NUMBERS // (n_vocab * _STEP))))
    buffer = hidden_ND.new_empty(n_vocab * n_rows)
    for first in range(0, n_tokens, n_rows):
        rows = slice(first, min(first + n_rows, n_tokens))
        logits_VN = buffer[: n_vocab * (rows.stop - first)].view(n_vocab, -1)
        yield rows, torch.mm(output_VD, hidden_ND[rows].T, out=logits_VN).to(_wide(output_VD.dtype))


def _loss_and_exponentials(logits_VN: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of a piece's losses; its largest logits, (N,); and sums of the exponentials of logits less these, (N,).

    The exponentials replace the logits.
    """
    at_target_N = logits_VN.gather(0, targets_N[None])[0]
    largest_N = logits_VN.amax(0)
    sums_N = logits_VN.sub_(largest_N).exp_().sum(0)
    return (sums_N.log() + largest_N - at_target_N).sum(), largest_N, sums_N


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What softmax and sums run in: 32 bits at least."""
    return torch.promote_types(dtype, torch.float32)


def _add_product(total_VD: Tensor, a_VN: Tensor, b_ND: Tensor) -> None:
    """Add `a @ b` in the precision of the total."""
    if a_VN.dtype == total_VD.dtype:
        total_VD.addmm_(a_VN, b_ND)
    else:
        total_VD.add_(torch.mm(a_VN, b_ND))
