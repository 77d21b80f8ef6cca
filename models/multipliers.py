"""What a parameterization does in the forward pass."""

from dataclasses import dataclass


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
    residual :
        Factor on what each residual branch adds (m_L^-alpha of CompleteP).
    """

    embedding: float
    attention_scale: float
    logits: float
    residual: float = 1.0
