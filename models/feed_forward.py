"""The feed-forward layers of a block.

Shapes of tensors: B sequences, T places, D d_model, F d_ff.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.linear import linear_in, linear_out
from wse_sim.spec.model import ModelShape


class GeluFeedForward(nn.Module):
    """Two matrices with a GELU between them, exact or in the approximation by tanh.

    Source: arXiv 1606.08415, Section 2.
    """

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.approximate = "tanh" if shape.feed_forward == "gelu_tanh" else "none"
        self.up = linear_in(shape, shape.d_model, shape.d_ff)
        self.down = linear_out(shape, shape.d_ff, shape.d_model)

    def forward(self, x_BTD: Tensor) -> Tensor:
        projected_BTD: Tensor = self.down(F.gelu(self.up(x_BTD), approximate=self.approximate))
        return projected_BTD


class SwigluFeedForward(nn.Module):
    """Three matrices: one gates what another lets through.

    Source: arXiv 2002.05202, Eq. (6), with biases where the shape has them.
    """

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate = linear_in(shape, shape.d_model, shape.d_ff)
        self.up = linear_in(shape, shape.d_model, shape.d_ff)
        self.down = linear_out(shape, shape.d_ff, shape.d_model)

    def forward(self, x_BTD: Tensor) -> Tensor:
        projected_BTD: Tensor = self.down(F.silu(self.gate(x_BTD)) * self.up(x_BTD))
        return projected_BTD
