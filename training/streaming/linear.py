"""A linear layer whose weights are somebody else's for most of the time.

Shapes of tensors: B sequences, T places, N tokens, I and O channels in and out.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StreamedLinear(nn.Module):
    """A linear layer that reads its weights from a buffer, and leaves what their gradient is made of.

    The buffer holds the layer's own weights when it goes forward and when it goes back; in between, those of others.
    The gradient of the weights is one product over all tokens of a step (`weight_gradient`), however many
    micro-batches they came in.

    Parameters
    ----------
    weight_OI :
        The buffer, in the precision of the products.
    """

    def __init__(self, weight_OI: Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight_OI = weight_OI
        self.bias = bias
        self._seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_BTI: Tensor) -> Tensor:
        y_BTO: Tensor = _Streamed.apply(x_BTI, self.bias, self)  # type: ignore[no-untyped-call]
        return y_BTO

    def keep(self, x_BTI: Tensor, slope_BTO: Tensor) -> None:
        """Keep the input of some tokens, and the derivative of the loss by their output."""
        self._seen.append((x_BTI.flatten(0, -2), slope_BTO.flatten(0, -2)))

    @torch.no_grad()
    def weight_gradient(self, gradient_OI: Tensor) -> None:
        """Fill the gradient of the weights over all tokens since the last call, and forget them."""
        inputs, slopes = zip(*self._seen, strict=True)
        self._seen.clear()
        torch.mm(_joined(slopes).T, _joined(inputs), out=gradient_OI)


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTI: Tensor, bias: Tensor | None, layer: StreamedLinear) -> Tensor:
        weight_OI = layer.weight_OI
        x_cast_BTI = x_BTI.to(weight_OI.dtype)
        ctx.save_for_backward(x_cast_BTI)
        ctx.layer, ctx.x_dtype, ctx.bias_dtype = layer, x_BTI.dtype, None if bias is None else bias.dtype
        return F.linear(x_cast_BTI, weight_OI, None if bias is None else bias.to(weight_OI.dtype))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (x_BTI,) = ctx.saved_tensors
        slope_BTO = slopes[0]
        ctx.layer.keep(x_BTI.detach(), slope_BTO)
        by_bias = None if ctx.bias_dtype is None else slope_BTO.flatten(0, -2).sum(0).to(ctx.bias_dtype)
        return torch.matmul(slope_BTO, ctx.layer.weight_OI).to(ctx.x_dtype), by_bias, None


def _joined(pieces: tuple[Tensor, ...]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
