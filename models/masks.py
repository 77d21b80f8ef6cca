"""Masks as arrays: which weights of a tensor live, chosen at random or by scores, and packed."""

import math
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from wse_sim.spec.ranges import check_number
from wse_sim.workload.sparsity import exact_nonzeros

MASK_SUFFIX = "_mask"  # of a parameter's name

Mask = npt.NDArray[np.bool_]
PackedMask = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[np.uint64]


def philox(seed: int, *labels: object) -> np.random.Philox:
    """A counter-based generator that depends on the seed and the labels alone, not on who asks or in which order."""
    text = "/".join([str(seed), *map(str, labels)])
    return np.random.Philox(key=int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little"))


def top_k(scores: Scores, k: int) -> Mask:
    """Where the k highest scores are, exactly k places; of equal scores the first ones count as higher.

    Parameters
    ----------
    scores :
        (n,), no NaN.
    k :
        0 to n.
    """
    n_lower = scores.size - k
    if n_lower == 0 or k == 0:
        return np.full(scores.size, n_lower == 0)
    cut = np.partition(scores, n_lower)[n_lower]
    mask: Mask = scores > cut
    mask[np.flatnonzero(scores == cut)[: k - np.count_nonzero(mask)]] = True
    return mask


def random_scores(seed: int, name: str, n_weights: int) -> npt.NDArray[np.uint64]:
    """The scores, (n_weights,), whose highest are the places of a random mask."""
    # Raw 64-bit draws, not a distribution: numpy keeps the bits of Philox fixed across versions, its distributions not.
    return ~philox(seed, "mask", name).random_raw(n_weights)


def random_mask(seed: int, name: str, shape: tuple[int, ...], density: float) -> Mask:
    """A mask of exactly `exact_nonzeros` ones, each set of places equally likely.

    Parameters
    ----------
    seed, name :
        Run seed and full parameter name; nothing else decides the mask.
    density :
        In (0, 1].

    Raises
    ------
    SpecError
        When the density is out of range or leaves the tensor empty.
    """
    check_number("density", density)
    n_weights = int(np.prod(shape))
    return top_k(random_scores(seed, name, n_weights), exact_nonzeros(n_weights, density)).reshape(shape)


def packed(mask: Mask) -> PackedMask:
    """A mask with eight weights to a byte, in row-major order, the first in the highest bit."""
    return np.packbits(mask)


def unpacked(bits: PackedMask, shape: tuple[int, ...]) -> Mask:
    """The mask that was packed."""
    return np.unpackbits(bits, count=math.prod(shape)).reshape(shape).view(np.bool_)
