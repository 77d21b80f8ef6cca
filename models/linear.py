"""The linear layers of a block, with their roles."""

from torch import nn

from models.roles import with_roles
from wse_sim.spec.model import ModelShape


def linear_in(shape: ModelShape, n_in: int, n_out: int) -> nn.Linear:
    """A layer inside a residual branch."""
    return with_roles(nn.Linear(n_in, n_out, bias=shape.has_biases), weight="hidden_in", bias="bias")


def linear_out(shape: ModelShape, n_in: int, n_out: int) -> nn.Linear:
    """The last layer of a residual branch: what it puts out is added to the residual stream."""
    return with_roles(nn.Linear(n_in, n_out, bias=shape.has_biases), weight="hidden_out", bias="bias")
