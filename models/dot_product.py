"""The product of queries, keys and values, and how it knows the places of tokens.

Shapes of tensors: B sequences, T places, N heads, H d_head.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.family import ROTARY_BASE
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape, Positions

_ALIBI_SPAN = 8.0  # ALiBi, arXiv 2108.12409, Section 3: the last of N heads has the slope 2^-8


class DotProduct(nn.Module):
    """Softmax of scaled query-key products, causal, times values."""

    @abstractmethod
    def forward(self, q_BNTH: Tensor, k_BNTH: Tensor, v_BNTH: Tensor, scale: float) -> Tensor:
        """What each place takes from itself and the places before it, (B, N, T, H)."""

    @abstractmethod
    def fill_tables(self) -> None:
        """Compute the constant tables: a model that was built without memory has none."""


class PlainDotProduct(DotProduct):
    """Places enter elsewhere: as vectors added to the embedding."""

    def forward(self, q_BNTH: Tensor, k_BNTH: Tensor, v_BNTH: Tensor, scale: float) -> Tensor:
        return F.scaled_dot_product_attention(q_BNTH, k_BNTH, v_BNTH, is_causal=True, scale=scale)

    def fill_tables(self) -> None:
        """There are none."""


class RotaryDotProduct(DotProduct):
    """Queries and keys are turned by angles proportional to their place, so that products see distances alone.

    Source: RoFormer, arXiv 2104.09864, Eq. (34), with the two numbers of a pair half a head apart, as in LLaMA.
    """

    cos_TH: Tensor
    sin_TH: Tensor

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        if shape.d_head % 2:
            raise SpecError(f"model {shape.name!r}: rotary positions turn pairs, and d_head {shape.d_head} is odd")
        self.shape = shape
        self.register_buffer("cos_TH", torch.empty(shape.seq_len, shape.d_head), persistent=False)
        self.register_buffer("sin_TH", torch.empty(shape.seq_len, shape.d_head), persistent=False)
        self.fill_tables()

    def forward(self, q_BNTH: Tensor, k_BNTH: Tensor, v_BNTH: Tensor, scale: float) -> Tensor:
        return F.scaled_dot_product_attention(
            self.turned(q_BNTH), self.turned(k_BNTH), v_BNTH, is_causal=True, scale=scale
        )

    def turned(self, x_BNTH: Tensor) -> Tensor:
        """Queries or keys, (B, N, T, H), each turned by the angles of its place."""
        n_places, d_head = x_BNTH.shape[-2:]
        swapped_BNTH = x_BNTH.roll(d_head // 2, dims=-1)
        return x_BNTH * self.cos_TH[:n_places] + swapped_BNTH * self.sin_TH[:n_places]

    def fill_tables(self) -> None:
        n_pairs, device = self.shape.d_head // 2, self.cos_TH.device
        rates = ROTARY_BASE ** (-torch.arange(n_pairs, dtype=torch.float64, device=device) / n_pairs)
        angles_TP = torch.arange(self.shape.seq_len, dtype=torch.float64, device=device)[:, None] * rates
        self.cos_TH.copy_(angles_TP.cos().repeat(1, 2))
        self.sin_TH.copy_(torch.cat((-angles_TP.sin(), angles_TP.sin()), dim=1))


class AlibiDotProduct(DotProduct):
    """Scores lose in proportion to distance, each head at its own slope.

    Source: ALiBi, arXiv 2108.12409, Section 3.
    """

    bias_NTT: Tensor

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("bias_NTT", torch.empty(shape.n_heads, shape.seq_len, shape.seq_len), persistent=False)
        self.fill_tables()

    def forward(self, q_BNTH: Tensor, k_BNTH: Tensor, v_BNTH: Tensor, scale: float) -> Tensor:
        n_places = q_BNTH.shape[-2]
        bias_NTT = self.bias_NTT[:, :n_places, :n_places]
        return F.scaled_dot_product_attention(q_BNTH, k_BNTH, v_BNTH, attn_mask=bias_NTT, scale=scale)

    def fill_tables(self) -> None:
        device = self.bias_NTT.device
        places = torch.arange(self.shape.seq_len, dtype=torch.float32, device=device)
        distances_TT = places[:, None] - places
        slopes_N = torch.tensor(alibi_slopes(self.shape.n_heads), dtype=torch.float32, device=device)
        self.bias_NTT.copy_(-slopes_N[:, None, None] * distances_TT)
        self.bias_NTT.masked_fill_(distances_TT < 0, -math.inf)


def alibi_slopes(n_heads: int) -> list[float]:
    """The slopes of the heads: a geometric series down to 2^-8 where n_heads is a power of two.

    Elsewhere the series of the next smaller power of two, filled up with every other slope of the next larger one.

    Source: ALiBi, arXiv 2108.12409, Section 3 and the authors' code for other numbers of heads.
    """
    n_whole = 2 ** int(math.log2(n_heads))
    whole = [2.0 ** (-_ALIBI_SPAN * (i + 1) / n_whole) for i in range(n_whole)]
    between = [2.0 ** (-_ALIBI_SPAN * (i + 1) / (2 * n_whole)) for i in range(0, 2 * n_whole, 2)]
    return whole + between[: n_heads - n_whole]


DOT_PRODUCTS: Mapping[Positions, Callable[[ModelShape], DotProduct]] = {
    "learned": lambda shape: PlainDotProduct(),
    "rotary": RotaryDotProduct,
    "alibi": AlibiDotProduct,
}
