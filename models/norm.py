"""The norms of a decoder."""

from torch import nn

from models.family import NORM_EPS
from models.roles import Role, with_roles
from wse_sim.spec.model import ModelShape


def norm(shape: ModelShape, *, gain: Role, bias: Role) -> nn.Module:
    """A norm over the width of the shape, with the roles of its gain and, where there is one, its bias.

    Source: RMSNorm, arXiv 1910.07467: no mean is taken off, and there is no bias.
    """
    if shape.norm == "rmsnorm":
        return with_roles(nn.RMSNorm(shape.d_model, eps=NORM_EPS), weight=gain)
    return with_roles(nn.LayerNorm(shape.d_model, eps=NORM_EPS, bias=shape.has_biases), weight=gain, bias=bias)
