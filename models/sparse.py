"""Masks: where weights are pruned, and what that does to weights, gradients and moments.

A mask is a persistent boolean buffer `<parameter>_mask` beside its parameter, so it is in `state_dict`. Which masks
there are, and how they change while a run trains, is for `training.sparsity`.
"""

import math
from collections.abc import Iterator, Mapping
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.roles import HIDDEN_ROLES, parameter_roles
from wse_sim.spec.ranges import check_number
from wse_sim.workload.sparsity import exact_nonzeros

MASK_SUFFIX = "_mask"

Mask = npt.NDArray[np.bool_]
PackedMask = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[np.uint64]

_BITS_OF = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # bytes of a float -> the integer of its size


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


class Masks:
    """The masks of a model, by parameter name, and what they do.

    Weights are stored already masked, so the forward pass multiplies nothing. A masked weight that is 0, whose
    gradient is 0 and whose Adam moments are 0 stays exactly 0 under AdamW, decay and clipping.

    Where parameters are shards (`torch.distributed.tensor.DTensor`), each process has whole masks, and zeroes its own
    shards by its own piece of them.
    """

    def __init__(self, masked: Mapping[str, tuple[nn.Parameter, Tensor]]) -> None:
        self._masked = dict(masked)
        self._bits = {name: _bits(mask, weight) for name, (weight, mask) in self._masked.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._masked)

    def __len__(self) -> int:
        return len(self._masked)

    def __contains__(self, name: object) -> bool:
        return name in self._masked

    def weight(self, name: str) -> nn.Parameter:
        """The masked parameter."""
        return self._masked[name][0]

    def mask(self, name: str) -> Tensor:
        """Its mask, True where a weight is live; not to be written."""
        return self._masked[name][1]

    def replace(self, name: str, mask: Mask) -> None:
        """Another mask in the place of this one; newly pruned weights become 0, newly live ones stay 0."""
        weight, buffer = self._masked[name]
        buffer.copy_(torch.from_numpy(mask))
        self._bits[name] = _bits(buffer, weight)
        self.select(name, weight.detach())

    def select(self, name: str, tensor: Tensor) -> None:
        """Set `tensor`, of the parameter's shape and dtype, to 0 wherever the parameter is pruned; in place.

        A bitwise "and" with all ones or all zeros: as fast as a product, and a selection, because 0 x NaN is NaN.
        """
        bits = self._bits[name]
        _own(tensor).view(bits.dtype).bitwise_and_(bits)

    def zero_pruned_weights(self) -> None:
        """Set every pruned weight to 0."""
        for name, (weight, _) in self._masked.items():
            self.select(name, weight.detach())

    def zero_pruned_gradients(self) -> None:
        """Set every pruned gradient to 0, whatever it was."""
        for name, (weight, _) in self._masked.items():
            if weight.grad is not None:
                self.select(name, weight.grad)


def add_masks(model: nn.Module, masks: Mapping[str, Mask]) -> Masks:
    """Give parameters of a model, by full name, their masks, and zero what they prune."""
    masked = {}
    for name, mask in masks.items():
        weight = model.get_parameter(name)
        module_name, _, own_name = name.rpartition(".")
        module = model.get_submodule(module_name)
        module.register_buffer(own_name + MASK_SUFFIX, torch.from_numpy(mask).to(weight.device))
        masked[name] = (weight, module.get_buffer(own_name + MASK_SUFFIX))
    added = Masks(masked)
    added.zero_pruned_weights()
    return added


def random_masks(model: nn.Module, seed: int, densities: Mapping[str, float]) -> dict[str, Mask]:
    """Random masks for parameters of a model, by name; one of density 1 gets none: the dense run is the dense run."""
    shapes = {name: tuple(model.get_parameter(name).shape) for name in densities}
    return {
        name: random_mask(seed, name, shapes[name], density) for name, density in densities.items() if density != 1.0
    }


def hidden_densities(model: nn.Module, density: float) -> dict[str, float]:
    """The same density for each hidden matrix of a model, by name."""
    return {name: density for name, role in parameter_roles(model).items() if role in HIDDEN_ROLES}


def n_nonzero(model: nn.Module) -> int:
    """Parameters of the model that are not masked."""
    n_total = sum(parameter.numel() for parameter in model.parameters())
    masked = (buffer for name, buffer in model.named_buffers() if name.endswith(MASK_SUFFIX))
    return n_total - sum(int((~mask).sum()) for mask in masked)


def whole(tensor: Tensor) -> Tensor:
    """The tensor, its shards brought together where it has any; then every process must ask for it."""
    gathered: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered


def laid_out_like(weight: Tensor, tensor: Tensor) -> Tensor:
    """The tensor, whole in every process, as the weight is: itself, or a shard of it in each process."""
    if not hasattr(weight, "device_mesh"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor  # most of a second, and only shards need it

    assert isinstance(weight, DTensor)
    # No source rank: each process cuts its own piece out, and nothing is sent.
    return distribute_tensor(tensor, weight.device_mesh, weight.placements, src_data_rank=None)


def _bits(mask: Tensor, weight: Tensor) -> Tensor:
    """All ones where the mask is True, in the integer of the weight's size; of a shard, its piece of them."""
    return _own(laid_out_like(weight, mask)).to(_BITS_OF[weight.element_size()]).neg_()


def _own(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: its shard, or all."""
    own: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return own
