"""Masks of a model: where weights are pruned, and what that does to weights, gradients and moments.

A mask is a persistent boolean buffer `<parameter>_mask` beside its parameter, so it is in `state_dict`. Which masks
there are, and how they change while a run trains, is for `training.sparsity`.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from models.masks import MASK_SUFFIX, Mask, random_mask
from models.roles import HIDDEN_ROLES, parameter_roles

_BITS_OF = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # bytes of a float -> the integer of its size


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
