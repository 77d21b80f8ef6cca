"""A GPT-2-like decoder built from a shape: learned positions, pre-LN, GELU, output tied to the embedding.

Shapes of tensors: B sequences, T places, D d_model, N heads, H d_head, F d_ff, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.roles import with_roles
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

_NORM_EPS = 1e-5  # Cerebras-GPT (arXiv 2304.03208), the model-zoo configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardMultipliers:
    """The numbers by which a parameterization enters the forward pass.

    Parameters
    ----------
    embedding :
        Factor on the sum of token and position embeddings (alpha_in).
    attention_scale :
        Factor on query-key products: 1/sqrt(d_head), or 1/d_head.
    logits :
        Factor on the logits (alpha_out / m_d).
    """

    embedding: float
    attention_scale: float
    logits: float


class Attention(nn.Module):
    """Causal self-attention. Query, key and value are one matrix: one large product instead of three."""

    def __init__(self, shape: ModelShape, scale: float) -> None:
        super().__init__()
        d = shape.d_model
        self.n_heads = shape.n_heads
        self.scale = scale
        self.qkv = with_roles(nn.Linear(d, 3 * d), weight="hidden_in", bias="bias")
        self.out = with_roles(nn.Linear(d, d), weight="hidden_out", bias="bias")

    def forward(self, x_BTD: Tensor) -> Tensor:
        n_batch, n_places, d_model = x_BTD.shape
        qkv_BTND = self.qkv(x_BTD).view(n_batch, n_places, 3, self.n_heads, d_model // self.n_heads)
        q_BNTH, k_BNTH, v_BNTH = qkv_BTND.permute(2, 0, 3, 1, 4).unbind(0)
        y_BNTH = F.scaled_dot_product_attention(q_BNTH, k_BNTH, v_BNTH, is_causal=True, scale=self.scale)
        projected_BTD: Tensor = self.out(y_BNTH.transpose(1, 2).reshape(n_batch, n_places, d_model))
        return projected_BTD


class FeedForward(nn.Module):
    """Two matrices with a GELU between them."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.up = with_roles(nn.Linear(shape.d_model, shape.d_ff), weight="hidden_in", bias="bias")
        self.down = with_roles(nn.Linear(shape.d_ff, shape.d_model), weight="hidden_out", bias="bias")

    def forward(self, x_BTD: Tensor) -> Tensor:
        projected_BTD: Tensor = self.down(F.gelu(self.up(x_BTD)))
        return projected_BTD


class Block(nn.Module):
    """Attention, then feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, shape: ModelShape, scale: float) -> None:
        super().__init__()
        self.norm_attention = _norm(shape.d_model)
        self.attention = Attention(shape, scale)
        self.norm_mlp = _norm(shape.d_model)
        self.mlp = FeedForward(shape)

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self.attention(self.norm_attention(x_BTD))
        mlp_BTD: Tensor = self.mlp(self.norm_mlp(x_BTD))
        return x_BTD + mlp_BTD


class GPT(nn.Module):
    """The network.

    The weights are PyTorch's own until `models.build` fills them; a parameterization enters only through numbers,
    so the forward pass asks nothing about it.

    Parameters
    ----------
    shape :
        Only what Cerebras-GPT has: GELU, learned positions, tied output, biases, as many key heads as heads.
    multipliers :
        See `ForwardMultipliers`; `models.parametrization.forward_multipliers` makes them.

    Raises
    ------
    SpecError
        When the shape asks for another kind of layer.
    """

    def __init__(self, shape: ModelShape, multipliers: ForwardMultipliers) -> None:
        super().__init__()
        _require_known(shape)
        self.shape = shape
        self.multipliers = multipliers
        self.token = with_roles(nn.Embedding(shape.vocab_size, shape.d_model), weight="embedding")
        self.position = with_roles(nn.Embedding(shape.seq_len, shape.d_model), weight="position")
        self.blocks = nn.ModuleList(Block(shape, multipliers.attention_scale) for _ in range(shape.n_layers))
        self.norm_out = _norm(shape.d_model)

    def forward(self, inputs_BT: Tensor) -> Tensor:
        """Logits, (B, T, V), for the byte after each place."""
        # A slice, not a lookup: its gradient is a plain sum over the batch.
        x_BTD = self.token(inputs_BT) + self.position.weight[: inputs_BT.shape[1]]
        x_BTD = x_BTD * self.multipliers.embedding
        for block in self.blocks:
            x_BTD = block(x_BTD)
        # Scaling here instead of after the product touches V/D times fewer numbers.
        return F.linear(self.norm_out(x_BTD) * self.multipliers.logits, self.token.weight)

    def loss(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, a scalar."""
        logits_BTV = self(inputs_BT)
        return F.cross_entropy(logits_BTV.view(-1, logits_BTV.shape[-1]), targets_BT.reshape(-1))


def meta_model(shape: ModelShape) -> GPT:
    """The model without memory for its weights, for names, shapes and counts."""
    with torch.device("meta"):
        return GPT(shape, ForwardMultipliers(embedding=1.0, attention_scale=1.0, logits=1.0))


def _norm(d_model: int) -> nn.LayerNorm:
    return with_roles(nn.LayerNorm(d_model, eps=_NORM_EPS), weight="norm", bias="bias")


def _require_known(shape: ModelShape) -> None:
    known = {"feed_forward": "gelu", "positions": "learned", "is_tied": True, "has_biases": True}
    for field, value in known.items():
        if getattr(shape, field) != value:
            raise SpecError(
                f"model {shape.name!r}: {field} = {getattr(shape, field)!r} can be simulated but not trained here; "
                f"the trainer knows {field} = {value!r}"
            )
    if shape.kv_heads != shape.n_heads:
        raise SpecError(
            f"model {shape.name!r}: n_kv_heads = {shape.kv_heads} can be simulated but not trained here; "
            f"the trainer knows n_kv_heads = n_heads = {shape.n_heads}"
        )
