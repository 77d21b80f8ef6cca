"""Which weights of one tensor live: at first, and after an update. Exact counts, ties by position.

Arrays: `weight`, `gradient` and `mask` have the parameter's shape; a `mask` is True where a weight lives.
"""

import numpy as np
import numpy.typing as npt

from models.masks import Mask, Scores, random_scores, top_k
from training.sparsity.balance import Balance
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity.algorithms import InitMethod

Weights = npt.NDArray[np.float32]

_TAKEN = -1.0  # below every score


def start_mask(method: InitMethod, weight: Weights, n_live: int, *, seed: int, name: str, balance: Balance) -> Mask:
    """The first mask of a parameter.

    Parameters
    ----------
    n_live :
        Weights that it keeps.
    seed, name :
        Of the run and of the parameter, for a random mask.

    Raises
    ------
    SpecError
        When the zeros of `from_zeros` are more or fewer than the run's density says.
    """
    if method == "checkerboard":
        return checkerboard(weight.shape, n_live)
    if method == "from_zeros":
        return _from_zeros(weight, n_live, name)
    if method == "topk":
        return highest(np.abs(weight), n_live, balance)
    return highest(random_scores(seed, name, weight.size).reshape(weight.shape), n_live, balance)


def highest(scores: Scores, n_live: int, balance: Balance) -> Mask:
    """The `n_live` highest scores, shared out evenly over the groups."""
    rows = balance.rows(scores)
    kept = [top_k(row, count) for row, count in zip(rows, balance.counts(n_live), strict=True)]
    return balance.tensor(np.stack(kept), scores.shape)


def drop_and_grow(
    mask: Mask, weight: Weights, growth: Scores, n_live: int, drop_fraction: float, balance: Balance
) -> Mask:
    """Drop the live weights of smallest magnitude, then grow where `growth` is highest, to `n_live` weights.

    What was dropped may grow again at once: then nothing happened to it.

    Parameters
    ----------
    growth :
        Not negative and no NaN.
    drop_fraction :
        Of the weights that live before and may live after, rounded down.

    Source: RigL (arXiv 1911.11134) Algorithm 1.
    """
    rows = []
    groups = zip(balance.rows(mask), balance.rows(weight), balance.rows(growth), balance.counts(n_live), strict=True)
    for live, group_weight, group_growth, count in groups:
        n_kept = _n_kept(live, count, drop_fraction)
        kept = top_k(np.where(live, np.abs(group_weight), _TAKEN), n_kept)
        rows.append(kept | top_k(np.where(kept, _TAKEN, group_growth), count - n_kept))
    return balance.tensor(np.stack(rows), mask.shape)


def could_grow(mask: Mask, growth: Scores, n_live: int, drop_fraction: float, balance: Balance) -> Mask:
    """The places where nothing lives that `drop_and_grow` may choose, whatever it drops.

    The scores of all others, but of what lives, may be forgotten until then.
    """
    rows = []
    for live, group_growth, count in zip(balance.rows(mask), balance.rows(growth), balance.counts(n_live), strict=True):
        n_grown = min(count - _n_kept(live, count, drop_fraction), live.size - int(np.count_nonzero(live)))
        rows.append(top_k(np.where(live, _TAKEN, group_growth), n_grown))
    return balance.tensor(np.stack(rows), mask.shape)


def checkerboard(shape: tuple[int, ...], n_live: int) -> Mask:
    """`n_live` weights as evenly as can be: at equal distances along the rows, each row shifted by one."""
    n_weights = int(np.prod(shape))
    index = np.arange(n_weights + 1, dtype=np.int64) * n_live // n_weights
    rows = np.diff(index).astype(np.bool_).reshape(shape[0], -1)
    shifted = (np.arange(rows.shape[1]) - np.arange(rows.shape[0])[:, None]) % rows.shape[1]
    return np.take_along_axis(rows, shifted, axis=1).reshape(shape)


def _n_kept(live: Mask, count: int, drop_fraction: float) -> int:
    """Of the weights of a group that live, those that the update does not drop."""
    n_staying = min(int(np.count_nonzero(live)), count)
    return n_staying - int(drop_fraction * n_staying)


def _from_zeros(weight: Weights, n_live: int, name: str) -> Mask:
    mask: Mask = weight != 0
    if (n_found := int(np.count_nonzero(mask))) != n_live:
        raise SpecError(
            f"sparsity: init_method from_zeros finds {n_found} weights of {name} that are not 0, and the run's density "
            f"keeps {n_live}; another init_method would be right, or density {n_found / weight.size:g}"
        )
    return mask
