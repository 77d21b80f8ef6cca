"""Cross-entropy of an output layer without all of its logits: a piece of them is made, used and forgotten at a time.

With a vocabulary of 50257 the logits of a batch are by far the largest tensor of a training step, and PyTorch's own
chain writes it three times over: the logits, their logarithms, their gradient. Here each piece becomes its own gradient
in place, while it is near the processor (`docs/results/trainer_speed.md`).

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
    """Mean cross-entropy, in nats per token, of the logits `hidden_ND @ output_VD.T`; a scalar.

    Parameters
    ----------
    targets_N :
        int64, in [0, V).
    """
    if torch.is_grad_enabled():
        loss: Tensor = _LinearCrossEntropy.apply(hidden_ND, output_VD, targets_N)  # type: ignore[no-untyped-call]
        return loss
    total = hidden_ND.new_zeros(())
    for rows, logits_VN in _pieces(hidden_ND, output_VD):
        total += _loss_and_exponentials(logits_VN, targets_N[rows])[0]
    return total / len(targets_N)


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient is made on the way forward, while a piece of the logits is there, and only scaled on the way back.

    The derivative of a token's loss by its logits is their softmax, less 1 at the target.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor) -> Tensor:
        n_tokens = len(targets_N)
        total = hidden_ND.new_zeros(())
        by_hidden_ND, by_output_VD = torch.empty_like(hidden_ND), torch.zeros_like(output_VD)
        for rows, slope_VN in _pieces(hidden_ND, output_VD):
            loss, sums_N = _loss_and_exponentials(slope_VN, targets_N[rows])
            slope_VN.div_(sums_N * n_tokens)
            slope_VN[targets_N[rows], torch.arange(len(sums_N), device=sums_N.device)] -= 1.0 / n_tokens
            torch.mm(slope_VN.T, output_VD, out=by_hidden_ND[rows])
            by_output_VD.addmm_(slope_VN, hidden_ND[rows])
            total += loss
        ctx.save_for_backward(by_hidden_ND, by_output_VD)
        return total / n_tokens

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None]:
        by_hidden_ND, by_output_VD = ctx.saved_tensors
        # In place: PyTorch refuses to go back a second time through a saved tensor that has changed.
        return by_hidden_ND.mul_(outer[0]), by_output_VD.mul_(outer[0]), None


def _pieces(hidden_ND: Tensor, output_VD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Tokens whose logits are made together, and these, (V, N) of the piece, in memory that the next piece takes again.

    Transposed: with a large vocabulary, the product is half as fast again that way round.
    """
    n_tokens, n_vocab = len(hidden_ND), len(output_VD)
    n_rows = min(n_tokens, _STEP * max(1, _PIECE_NUMBERS // (n_vocab * _STEP)))
    buffer = hidden_ND.new_empty(n_vocab * n_rows)
    for first in range(0, n_tokens, n_rows):
        rows = slice(first, min(first + n_rows, n_tokens))
        logits_VN = buffer[: n_vocab * (rows.stop - first)].view(n_vocab, -1)
        yield rows, torch.mm(output_VD, hidden_ND[rows].T, out=logits_VN)


def _loss_and_exponentials(logits_VN: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of a piece's losses, and (N,) sums of the exponentials of logits over the largest, which replace them."""
    at_target_N = logits_VN.gather(0, targets_N[None])[0]
    largest_N = logits_VN.amax(0)
    sums_N = logits_VN.sub_(largest_N).exp_().sum(0)
    return (sums_N.log() + largest_N - at_target_N).sum(), sums_N
