"""The two ends of a model: the embeddings, and the norm and the output layer behind the last block.

The output layer is the largest matrix by far, and its gradient would be as large. It is made of a few rows at a time,
once the way back has arrived at the embeddings, which may be the same matrix: the logits of those rows are made once
more.

Shapes of tensors: B sequences, T places, N tokens, D d_model, V vocabulary, R rows of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cross_entropy import (
    counted_places,
    linear_cross_entropy,
    loss_and_hidden_gradient,
    n_counted,
    output_gradient,
)
from models.gpt import GPT

_LOGIT_NUMBERS = 2**25  # made at a time for the gradient of the output layer


@dataclass(frozen=True, slots=True)
class _AtHead:
    """What the gradient of the output layer is made of, of some tokens that count."""

    hidden_ND: Tensor
    targets_N: Tensor
    scale_2N: Tensor


class Ends:
    """Forward and back through both ends.

    Parameters
    ----------
    resident, pieces :
        Embeddings and output layer by name, whole and in pieces of rows that share their memory.
    dtype :
        Of matrix products.
    """

    def __init__(
        self,
        model: GPT,
        resident: Mapping[str, Tensor],
        pieces: Mapping[str, list[nn.Parameter]],
        dtype: torch.dtype,
    ) -> None:
        self._model, self._resident, self._pieces, self._dtype = model, resident, pieces, dtype
        self._output_name = "token.weight" if model.shape.is_tied else "output.weight"
        self._output_VD = resident[self._output_name].to(dtype, copy=dtype != torch.float32)
        self._heads: list[_AtHead] = []

    @torch.no_grad()
    def embedded(self, inputs_BT: Tensor) -> Tensor:
        """What the first block takes, (B, T, D)."""
        return self._model.embedded(inputs_BT)

    @torch.no_grad()
    def loss(self, x_BTD: Tensor, targets_BT: Tensor) -> float:
        """Mean loss of what the last block gives, nats per token."""
        hidden_ND = self._model.scaled(x_BTD).flatten(0, 1).to(self._dtype)
        return linear_cross_entropy(hidden_ND, self._output_VD, targets_BT.flatten()).item()

    @property
    def norm(self) -> list[nn.Parameter]:
        """Parameters of the norm behind the last block; they have their gradients as soon as there is a loss."""
        return list(self._model.norm_out.parameters())

    def loss_and_slopes(self, xs: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """Mean loss of all tokens that count, and its derivative by what the last block gave, (B, T, D) of each."""
        n_tokens = max(1, sum(map(n_counted, targets)))
        self._heads, slopes, total = [], [], 0.0
        for x_BTD, targets_BT in zip(xs, targets, strict=True):
            leaf_BTD = x_BTD.detach().requires_grad_()
            scaled_BTD = self._model.scaled(leaf_BTD)
            all_ND, targets_N = scaled_BTD.detach().flatten(0, 1).to(self._dtype), targets_BT.flatten()
            hidden_ND, places_N = all_ND, counted_places(targets_N)
            if places_N is not None:
                hidden_ND, targets_N = all_ND[places_N], targets_N[places_N]
            loss, by_hidden_ND, scale_2N = loss_and_hidden_gradient(hidden_ND, self._output_VD, targets_N)
            if places_N is not None:
                by_hidden_ND = torch.zeros_like(all_ND).index_copy_(0, places_N, by_hidden_ND)
            share = targets_N.numel() / n_tokens
            by_scaled_BTD = by_hidden_ND.to(scaled_BTD.dtype).view_as(scaled_BTD)
            torch.autograd.backward(scaled_BTD, by_scaled_BTD if share == 1.0 else by_scaled_BTD.mul_(share))
            assert leaf_BTD.grad is not None
            slopes.append(leaf_BTD.grad)
            self._heads.append(_AtHead(hidden_ND, targets_N, scale_2N))
            total += share * loss.item()
        return total, slopes

    def gradients(self, inputs: Sequence[Tensor], slopes: Sequence[Tensor]) -> Iterator[list[nn.Parameter]]:
        """Parameters of the embeddings and of the output layer, a few at a time, as they get their gradients.

        Parameters
        ----------
        slopes :
            Derivative of the loss by what the first block took.
        """
        scaled = [slope_BTD * self._model.multipliers.embedding for slope_BTD in slopes]
        ids_N = torch.cat([inputs_BT.flatten() for inputs_BT in inputs])
        slopes_ND = torch.cat([slope_BTD.flatten(0, 1) for slope_BTD in scaled])
        for name in dict.fromkeys(("token.weight", self._output_name)):
            first = 0
            for piece in self._pieces[name]:
                gradient_RD = self._by_logits(first, piece) if name == self._output_name else torch.zeros_like(piece)
                if name == "token.weight":
                    here_N = ((ids_N >= first) & (ids_N < first + len(piece))).nonzero()[:, 0]
                    # Summed up by themselves first, as autograd does.
                    gradient_RD += torch.zeros_like(piece).index_add_(0, ids_N[here_N] - first, slopes_ND[here_N])
                piece.grad = gradient_RD
                yield [piece]
                first += len(piece)
        self._heads = []
        if self._model.shape.positions == "learned":
            yield self._positions(scaled)

    def refresh(self) -> None:
        """Take notice that the output layer's weights have changed."""
        if self._dtype != torch.float32:
            self._output_VD.copy_(self._resident[self._output_name])

    def _by_logits(self, first: int, piece: Tensor) -> Tensor:
        """(R, D): derivative of the mean loss by the rows of the output layer from `first` on."""
        output_RD = self._output_VD[first : first + len(piece)]
        gradient_RD = torch.zeros_like(piece)
        n_tokens = max(1, sum(len(head.targets_N) for head in self._heads))
        n_at_once = max(1, _LOGIT_NUMBERS // len(piece))
        for head in self._heads:
            for start in range(0, len(head.targets_N), n_at_once):
                some = slice(start, start + n_at_once)
                of_some_RD = output_gradient(
                    head.hidden_ND[some], output_RD, first, head.targets_N[some], head.scale_2N[:, some]
                )
                gradient_RD.add_(of_some_RD, alpha=len(head.targets_N[some]) / n_tokens)
        return gradient_RD

    def _positions(self, slopes: Sequence[Tensor]) -> list[nn.Parameter]:
        gradient_TD = torch.zeros_like(self._resident["position.weight"])
        for slope_BTD in slopes:
            gradient_TD[: slope_BTD.shape[1]] += slope_BTD.sum(0)
        pieces = self._pieces["position.weight"]
        for piece, gradient in zip(pieces, torch.split(gradient_TD, len(pieces[0])), strict=True):
            piece.grad = gradient
        return pieces
