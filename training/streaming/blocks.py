"""The one dense block: buffers into which each block's matrices are expanded in turn, and gradients gathered from.

On another device than the processor, the buffers lie there, and expanded weights and dense gradients cross over.
"""

import torch
from torch import Tensor, nn

from training.streaming.linear import StreamedLinear
from training.streaming.matrix import Workers, padded
from training.streaming.store import Store, StreamedMatrix


def has_own_memory(device: torch.device) -> bool:
    """Whether what is on the device has to be copied there."""
    return device.type != "cpu"


class Blocks:
    """The blocks of a model, one of which is dense at a time.

    Parameters
    ----------
    dtype :
        Of the dense block and of its gradient.
    is_waiting :
        Gradients are kept until all have come, instead of until the next block's come.
    """

    def __init__(
        self, store: Store, dtype: torch.dtype, device: torch.device, workers: Workers, *, is_waiting: bool
    ) -> None:
        self._store, self._workers, self._is_waiting = store, workers, is_waiting
        self._dense = {
            matrix.own_name: torch.empty(padded(matrix.layout.n_weights), dtype=dtype, device=device)
            for matrix in store.blocks[0]
        }
        largest = max(buffer.numel() for buffer in self._dense.values())
        self._gradient = torch.empty(largest, dtype=dtype, device=device)
        # The same memory where the device is the processor itself: nothing has to cross.
        self._crossing = self._gradient
        if has_own_memory(device):
            self._crossing = torch.empty(largest, dtype=dtype, pin_memory=torch.cuda.is_available())
        self._live: dict[str, Tensor] = {}
        self._linears: dict[str, StreamedLinear] = {}
        self._streamed_in: int | None = None

    def linear(self, name: str, bias: nn.Parameter | None) -> StreamedLinear:
        """The layer of a matrix, by the matrix's full name."""
        matrix = self._store.matrices[name]
        weight = self._dense[matrix.own_name][: matrix.layout.n_weights].view(matrix.layout.shape)
        self._linears[name] = StreamedLinear(weight, bias)
        return self._linears[name]

    def stream_in(self, index: int) -> int:
        """Make a block dense, if it is not: bytes of non-zeros and their bits that were streamed."""
        if index == self._streamed_in:
            return 0
        for matrix in self._store.blocks[index]:
            dense = self._dense[matrix.own_name]
            here = dense if self._crossing is self._gradient else self._crossing[: dense.numel()]
            matrix.layout.expand(matrix.values.detach(), here, self._workers)
            if here is not dense:
                dense.copy_(here)
        self._streamed_in = index
        return sum(matrix.values.nbytes + matrix.layout.n_bytes for matrix in self._store.blocks[index])

    def forget(self) -> None:
        """Take notice that weights have changed."""
        self._streamed_in = None

    def weight_gradient(self, matrix: StreamedMatrix) -> Tensor:
        """(n_weights,): the dense gradient of a matrix whose block went back; it lasts until the next one's."""
        self._linears[matrix.name].weight_gradient(self._gradient[: matrix.layout.n_weights].view(matrix.layout.shape))
        if self._crossing is not self._gradient:
            self._crossing.copy_(self._gradient)
        return self._crossing[: matrix.layout.n_weights]

    def gather(self, matrix: StreamedMatrix) -> None:
        """Give the live weights their gradient, from the dense one."""
        live = self._room(matrix)
        matrix.layout.gather(self._crossing[: padded(matrix.layout.n_weights)], live, self._workers)
        matrix.values.grad = live

    def live_gradient(self, matrix: StreamedMatrix) -> Tensor:
        """What the gradient of the live weights was, even after the weights have been stepped along it."""
        return self._room(matrix)

    def _room(self, matrix: StreamedMatrix) -> Tensor:
        """Memory for the gradient of the live weights of a matrix: its own, or one that blocks take in turns."""
        key, n_live = (matrix.name if self._is_waiting else matrix.own_name), matrix.layout.n_live
        room = self._live.get(key)
        if room is None or room.numel() < n_live:
            room = self._live[key] = torch.empty(n_live)
        return room[:n_live]
