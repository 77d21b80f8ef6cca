"""One weight matrix as it is kept between its turns: a bit for each weight, and the live numbers."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.masks import Mask, PackedMask, philox
from training.streaming import kernels
from training.streaming.kernels import CHUNK_WORDS, LANES
from wse_sim.workload.sparsity import exact_nonzeros

_SURE = 8.0  # standard deviations around the expected rank of a random draw: missed once in 1e15
_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], dtype=np.uint8)

Words = npt.NDArray[np.uint16]


class Workers:
    """Threads that share the chunks of a kernel; which thread takes which changes no number.

    Parameters
    ----------
    n_threads :
        At least 1.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def chunks(self, kernel: Callable[..., None], offsets: npt.NDArray[np.int64], *arguments: Any) -> None:
        """Run a kernel of (..., first_chunk, last_chunk) over all chunks."""
        n_chunks = offsets.size - 1
        n_parts = min(self._n_threads, n_chunks)
        if self._pool is None or n_parts < 2:
            kernel(*arguments, 0, n_chunks)
            return
        bounds = [part * n_chunks // n_parts for part in range(n_parts + 1)]
        for done in [self._pool.submit(kernel, *arguments, first, last) for first, last in pairwise(bounds)]:
            done.result()

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results of `work`, in order."""
        return list(map(work, items)) if self._pool is None else list(self._pool.map(work, items))

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown()


class Layout:
    """Where the live numbers of a matrix belong.

    Parameters
    ----------
    words :
        (n_words,) uint16; see `training.streaming.kernels`.
    """

    def __init__(self, shape: tuple[int, ...], words: Words) -> None:
        self.shape, self.words = shape, words
        self.n_weights = math.prod(shape)
        self.offsets = np.zeros(-(-words.size // CHUNK_WORDS) + 1, dtype=np.int64)
        kernels.count(words, self.offsets)

    @property
    def n_live(self) -> int:
        """Weights that live."""
        return int(self.offsets[-1])

    @property
    def n_bytes(self) -> int:
        """Of the bits alone."""
        return self.words.nbytes

    def mask(self) -> Mask:
        """In the matrix's shape."""
        ones = np.unpackbits(self.words.view(np.uint8), bitorder="little", count=self.n_weights)
        return ones.reshape(self.shape).view(np.bool_)

    def packed(self) -> PackedMask:
        """As checkpoints have it: `numpy.packbits`, the first weight in the highest bit."""
        return _REVERSED[self.words.view(np.uint8)[: -(-self.n_weights // 8)]]

    def expand(self, values: Tensor, dense: Tensor, workers: Workers) -> None:
        """Fill `dense`, (padded(n_weights),) float32 or bfloat16, with live numbers and zeros."""
        workers.chunks(kernels.expand, self.offsets, self.words, self.offsets, _integers(values), _integers(dense))

    def gather(self, dense: Tensor, values: Tensor, workers: Workers) -> None:
        """Fill `values`, (n_live,) float32, with the numbers of `dense` that live."""
        workers.chunks(kernels.gather, self.offsets, self.words, self.offsets, _integers(dense), _integers(values))


def padded(n_weights: int) -> int:
    """Places that a dense matrix of so many weights takes."""
    return -(-n_weights // LANES) * LANES


def layout_of(mask: Mask) -> Layout:
    """The layout of a mask."""
    return Layout(mask.shape, _words(np.packbits(mask, bitorder="little"), mask.size))


def unpacked_layout(bits: PackedMask, shape: tuple[int, ...]) -> Layout:
    """The layout of a mask as checkpoints have it."""
    return Layout(shape, _words(_REVERSED[bits], math.prod(shape)))


def full_layout(shape: tuple[int, ...]) -> Layout:
    """The layout of a matrix all of whose weights live."""
    n_weights = math.prod(shape)
    words = np.full(padded(n_weights) // LANES, 2**LANES - 1, dtype=np.uint16)
    if rest := n_weights % LANES:
        words[-1] = 2**rest - 1
    return Layout(shape, words)


def random_layout(seed: int, name: str, shape: tuple[int, ...], density: float) -> Layout:
    """The layout of `models.masks.random_mask`, made without its draws ever being in memory."""
    n_weights = math.prod(shape)
    n_live = exact_nonzeros(n_weights, density)
    words = np.empty(padded(n_weights) // LANES, dtype=np.uint16)
    # The n-th lowest of so many even draws is not far from where it is expected.
    slack = _SURE * math.sqrt(n_live * (1.0 - n_live / n_weights) + 1.0) + _SURE
    low, high = (round((n_live + sign * slack) / n_weights * 2**64) for sign in (-1.0, 1.0))
    low, high = max(0, low), min(2**64 - 1, high)
    doubtful = np.empty(int(4.0 * slack) + LANES, dtype=np.uint64)
    places = np.empty(doubtful.size, dtype=np.int64)
    n_below, n_doubtful = kernels.mark_lowest(
        _key(seed, "mask", name), n_weights, np.uint64(low), np.uint64(high), words, doubtful, places
    )
    n_missing = n_live - n_below
    assert 0 <= n_missing <= n_doubtful <= doubtful.size, (name, n_missing, n_doubtful)
    lowest = np.lexsort((places[:n_doubtful], doubtful[:n_doubtful]))[:n_missing]
    for place in places[lowest]:
        words[place // LANES] |= np.uint16(1 << (place % LANES))
    return Layout(shape, words)


def draw_live(seed: int, name: str, layout: Layout, values: Tensor) -> None:
    """Fill `values`, (n_live,) float32, with the draws of a tensor's initialization, as `models.build.centred`."""
    kernels.draw_live(_key(seed, "init", name), layout.words, values.numpy())


def _key(seed: int, *labels: object) -> npt.NDArray[np.uint64]:
    key: npt.NDArray[np.uint64] = philox(seed, *labels).state["state"]["key"]
    return key


def _words(little_bits: npt.NDArray[np.uint8], n_weights: int) -> Words:
    words = np.zeros(padded(n_weights) // LANES, dtype=np.uint16)
    words.view(np.uint8)[: little_bits.size] = little_bits
    return words


def _integers(tensor: Tensor) -> npt.NDArray[Any]:
    """The memory of floats as integers of their size: kernels move bits."""
    integers = tensor.view(torch.int16).numpy().view(np.uint16)
    return integers if tensor.dtype == torch.bfloat16 else integers.view(np.uint32)
