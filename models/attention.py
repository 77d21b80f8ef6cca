"""Causal self-attention over the heads of a shape.

Shapes of tensors: B sequences, T places, D d_model, N heads, K heads of keys and values, H d_head.
"""

from torch import Tensor, nn

from models.dot_product import DotProduct
from models.linear import linear_in, linear_out
from wse_sim.spec.model import ModelShape


class Attention(nn.Module):
    """Query, key and value are one matrix: one large product instead of three.

    Parameters
    ----------
    dot_product :
        How places enter; one for all layers, because its tables are the same in each.
    scale :
        Factor on query-key products.
    """

    def __init__(self, shape: ModelShape, dot_product: DotProduct, scale: float) -> None:
        super().__init__()
        d, kv = shape.d_model, shape.kv_heads * shape.d_head
        self.d_head, self.n_heads, self.scale = shape.d_head, shape.n_heads, scale
        self.widths = (d, kv, kv)
        self.dot_product = dot_product
        self.qkv = linear_in(shape, d, d + 2 * kv)
        self.out = linear_out(shape, d, d)

    def forward(self, x_BTD: Tensor) -> Tensor:
        q_BNTH, k_BKTH, v_BKTH = (self._by_head(x) for x in self.qkv(x_BTD).split(self.widths, dim=-1))
        y_BNTH = self.dot_product(q_BNTH, self._for_every_head(k_BKTH), self._for_every_head(v_BKTH), self.scale)
        projected_BTD: Tensor = self.out(y_BNTH.transpose(1, 2).flatten(2))
        return projected_BTD

    def _by_head(self, x_BTX: Tensor) -> Tensor:
        return x_BTX.view(*x_BTX.shape[:2], -1, self.d_head).transpose(1, 2)

    def _for_every_head(self, x_BKTH: Tensor) -> Tensor:
        """Each head of keys or values beside itself, once for each head of queries that reads it.

        Source: grouped queries, arXiv 2305.13245, Section 2.2.
        """
        n_groups = x_BKTH.shape[1]
        if n_groups == self.n_heads:
            return x_BKTH
        return x_BKTH.unsqueeze(2).expand(-1, -1, self.n_heads // n_groups, -1, -1).flatten(1, 2)
