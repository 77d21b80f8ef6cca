"""The multipliers of a forward pass, folded into the weights: a stock model multiplies by none.

What a stock model computes with the folded weights is what ours computes with its own. An embedding takes the factor
on embeddings, the output layer that on logits, queries what the attention scale has over 1/sqrt(d_head), and the last
layer of each residual branch, with its bias, the factor on branches. Each weight is rounded once more, unless its
factor is a power of two.

Source: SμPar (arXiv 2405.15743), Table 1, and CompleteP (arXiv 2505.01618), Table 1, for where the factors stand.
"""

import math

from torch import Tensor

from models.multipliers import ForwardMultipliers
from wse_sim.spec.hugging_face_tensors import HuggingFaceTensor
from wse_sim.spec.model import ModelShape

Runs = tuple[tuple[int, float], ...]


def plain_multipliers(shape: ModelShape) -> ForwardMultipliers:
    """Those of a stock model, and of standard parameterization."""
    return ForwardMultipliers(embedding=1.0, attention_scale=shape.d_head**-0.5, logits=1.0)


def must_untie(shape: ModelShape, multipliers: ForwardMultipliers) -> bool:
    """One matrix cannot hold both the factor on embeddings and that on logits."""
    return shape.is_tied and multipliers.embedding != multipliers.logits


def factors(tensor: HuggingFaceTensor, shape: ModelShape, multipliers: ForwardMultipliers) -> Runs:
    """Pairs of a number of rows of our parameter, in order, and the factor that they take."""
    of_queries = multipliers.attention_scale * math.sqrt(shape.d_head)
    if tensor.use == "queries_keys_values":
        return ((shape.d_model, of_queries), (tensor.n_rows - shape.d_model, 1.0))
    of_use = {
        "embedding": multipliers.embedding,
        "logits": multipliers.logits,
        "queries": of_queries,
        "residual": multipliers.residual,
    }
    return ((tensor.n_rows, of_use.get(tensor.use, 1.0)),)


def folded(rows: Tensor, runs: Runs) -> Tensor:
    """Rows of a parameter times their factors; the same tensor where all of them are 1."""
    if all(factor == 1.0 for _, factor in runs):
        return rows
    result, first = rows.clone(), 0
    for n_rows, factor in runs:
        result[first : first + n_rows].mul_(factor)
        first += n_rows
    return result


def unfolded(rows: Tensor, runs: Runs) -> Tensor:
    """What `folded` was given, but for rounding."""
    return folded(rows, tuple((n_rows, 1.0 / factor) for n_rows, factor in runs))
