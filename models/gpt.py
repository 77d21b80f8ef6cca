"""A decoder built from its shape: GPT-2, Cerebras-GPT, LLaMA, and what lies between them.

Norms stand before attention and feed-forward. Shapes of tensors: B sequences, T places, D d_model, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from models.attention import Attention
from models.cross_entropy import linear_cross_entropy
from models.dot_product import DOT_PRODUCTS, DotProduct
from models.feed_forward import GeluFeedForward, SwigluFeedForward
from models.multipliers import ForwardMultipliers
from models.norm import norm
from models.roles import with_roles
from wse_sim.errors import SpecError
from wse_sim.spec.model import FeedForward, ModelShape

_FEED_FORWARDS: Mapping[FeedForward, type[GeluFeedForward] | type[SwigluFeedForward]] = {
    "gelu": GeluFeedForward,
    "gelu_tanh": GeluFeedForward,
    "swiglu": SwigluFeedForward,
}


class Block(nn.Module):
    """Attention, then feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, shape: ModelShape, dot_product: DotProduct, multipliers: ForwardMultipliers) -> None:
        super().__init__()
        self.residual = multipliers.residual
        self.norm_attention = norm(shape, gain="norm", bias="bias")
        self.attention = Attention(shape, dot_product, multipliers.attention_scale)
        self.norm_mlp = norm(shape, gain="norm", bias="bias")
        self.mlp = _FEED_FORWARDS[shape.feed_forward](shape)

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = torch.add(x_BTD, self.attention(self.norm_attention(x_BTD)), alpha=self.residual)
        return torch.add(x_BTD, self.mlp(self.norm_mlp(x_BTD)), alpha=self.residual)


class GPT(nn.Module):
    """The network.

    The weights are PyTorch's own until `models.build` fills them; a parameterization enters only through numbers,
    so the forward pass asks nothing about it.

    Parameters
    ----------
    shape :
        Of any decoder.
    multipliers :
        See `ForwardMultipliers`; `models.parametrization.forward_multipliers` makes them.

    Raises
    ------
    SpecError
        When the shape is an encoder's.
    """

    def __init__(self, shape: ModelShape, multipliers: ForwardMultipliers) -> None:
        super().__init__()
        if shape.logits_fraction != 1:
            raise SpecError(
                f"model {shape.name!r} is an encoder (logits_fraction = {shape.logits_fraction}): it can be simulated "
                "but not trained here; the trainer knows decoders"
            )
        self.shape = shape
        self.multipliers = multipliers
        self.recomputes = False  # a block's activations, on the way back, instead of keeping them
        self.token = with_roles(nn.Embedding(shape.vocab_size, shape.d_model), weight="embedding")
        if shape.positions == "learned":
            self.position = with_roles(nn.Embedding(shape.seq_len, shape.d_model), weight="position")
        self.dot_product = DOT_PRODUCTS[shape.positions](shape)
        self.blocks = nn.ModuleList(Block(shape, self.dot_product, multipliers) for _ in range(shape.n_layers))
        self.norm_out = norm(shape, gain="norm_out", bias="bias_out")
        if not shape.is_tied:
            self.output = with_roles(nn.Linear(shape.d_model, shape.vocab_size, bias=False), weight="output")

    def forward(self, inputs_BT: Tensor) -> Tensor:
        """Logits, (B, T, V), for the token after each place."""
        return F.linear(self.last_hidden(inputs_BT), self.output_weight)

    def loss(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, a scalar."""
        return linear_cross_entropy(self.last_hidden(inputs_BT).flatten(0, 1), self.output_weight, targets_BT.flatten())

    @property
    def output_weight(self) -> Tensor:
        """(V, D), of the layer that makes logits: the token embedding's own where they are tied."""
        return self.token.weight if self.shape.is_tied else self.output.weight

    def last_hidden(self, inputs_BT: Tensor) -> Tensor:
        """What the output layer takes, (B, T, D), with the factor on the logits."""
        x_BTD = self.embedded(inputs_BT)
        for block in self.blocks:
            x_BTD = _recomputed(block, x_BTD) if self.recomputes else block(x_BTD)
        return self.scaled(x_BTD)

    def embedded(self, inputs_BT: Tensor) -> Tensor:
        """What the first block takes, (B, T, D)."""
        x_BTD = self.token(inputs_BT)
        if self.shape.positions == "learned":
            # A slice, not a lookup: its gradient is a plain sum over the batch.
            x_BTD = x_BTD + self.position.weight[: inputs_BT.shape[1]]
        embedded_BTD: Tensor = x_BTD * self.multipliers.embedding
        return embedded_BTD

    def scaled(self, x_BTD: Tensor) -> Tensor:
        """What the output layer takes of what the last block gives, (B, T, D)."""
        # Scaling here instead of after the product touches V/D times fewer numbers.
        scaled_BTD: Tensor = self.norm_out(x_BTD) * self.multipliers.logits
        return scaled_BTD


def _recomputed(block: nn.Module, x_BTD: Tensor) -> Tensor:
    # Nothing in a block draws, so there is no state of a generator to keep.
    y_BTD: Tensor = checkpoint(block, x_BTD, use_reentrant=False, preserve_rng_state=False)
    return y_BTD


_NONE = ForwardMultipliers(embedding=1.0, attention_scale=1.0, logits=1.0)


def meta_model(shape: ModelShape, multipliers: ForwardMultipliers = _NONE) -> GPT:
    """The model without memory for its weights, for names, shapes and counts, or for weights that come later."""
    with torch.device("meta"):
        return undrawn_model(shape, multipliers)


def undrawn_model(shape: ModelShape, multipliers: ForwardMultipliers) -> GPT:
    """The model with any numbers in its weights.

    PyTorch's own would cost time, and draw from its global generator.
    """
    with _Undrawn():
        return GPT(shape, multipliers)


class _Undrawn(TorchFunctionMode):
    """Leaves initial values out; to draw them for tensors without memory, PyTorch would import its compiler."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        is_drawing = getattr(function, "__module__", "") == nn.init.__name__
        return kwargs["tensor"] if is_drawing and "tensor" in kwargs else function(*args, **kwargs)
