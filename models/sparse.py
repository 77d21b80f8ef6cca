"""Static random sparsity: masks with an exact count, the same on every machine and in every process."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.roles import HIDDEN_ROLES, parameter_roles
from wse_sim.workload.sparsity import exact_nonzeros
from wse_sim.workload.transformer import check_density

MASK_SUFFIX = "_mask"


def philox(seed: int, *labels: object) -> np.random.Philox:
    """A counter-based generator that depends on the seed and the labels alone, not on who asks or in which order."""
    text = "/".join([str(seed), *map(str, labels)])
    return np.random.Philox(key=int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little"))


def random_mask(seed: int, name: str, shape: tuple[int, ...], density: float) -> npt.NDArray[np.bool_]:
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
    numel = int(np.prod(shape))
    check_density(density)
    n_ones = exact_nonzeros(numel, density)
    if n_ones == numel:
        return np.ones(shape, dtype=np.bool_)
    # Raw 64-bit draws, not a distribution: numpy keeps the bits of Philox fixed across versions, its distributions not.
    scores = philox(seed, "mask", name).random_raw(numel)
    mask: npt.NDArray[np.bool_] = scores <= np.partition(scores, n_ones - 1)[n_ones - 1]
    assert int(mask.sum()) == n_ones, "two equal 64-bit draws"
    return mask.reshape(shape)


class Masks:
    """The masks of a model and what they do to its weights and gradients.

    Weights are stored already masked, so the forward pass multiplies nothing. A masked weight that is 0, whose
    gradient is 0 and whose Adam moments are 0 stays exactly 0 under AdamW, decay and clipping.
    """

    def __init__(self, pairs: Iterable[tuple[nn.Parameter, Tensor]]) -> None:
        self._pairs = list(pairs)

    def zero_pruned_weights(self) -> None:
        """Set every masked weight to 0."""
        with torch.no_grad():
            for weight, mask in self._pairs:
                weight.copy_(torch.where(mask, weight, 0.0))

    def zero_pruned_gradients(self) -> None:
        """Set every masked gradient to 0: selected, not multiplied, because 0 x NaN is NaN."""
        for weight, mask in self._pairs:
            if weight.grad is not None:
                weight.grad = torch.where(mask, weight.grad, 0.0)


def sparsify(model: nn.Module, seed: int, density: float) -> Masks:
    """Mask the hidden matrices of a model, each to the same density, and zero their masked weights.

    Every mask becomes a persistent boolean buffer `<parameter>_mask` beside its parameter, so it is in `state_dict`.
    A density of 1 adds no mask at all: the dense run is the dense run.
    """
    check_density(density)
    if density == 1.0:
        return Masks([])
    pairs = []
    roles = parameter_roles(model)
    for name, weight in list(model.named_parameters()):
        if roles[name] not in HIDDEN_ROLES:
            continue
        mask = torch.from_numpy(random_mask(seed, name, tuple(weight.shape), density)).to(weight.device)
        module_name, _, own_name = name.rpartition(".")
        module = model.get_submodule(module_name)
        module.register_buffer(own_name + MASK_SUFFIX, mask)
        pairs.append((weight, module.get_buffer(own_name + MASK_SUFFIX)))
    masks = Masks(pairs)
    masks.zero_pruned_weights()
    return masks


def n_nonzero(model: nn.Module) -> int:
    """Parameters of the model that are not masked."""
    n_total = sum(parameter.numel() for parameter in model.parameters())
    masked = (buffer for name, buffer in model.named_buffers() if name.endswith(MASK_SUFFIX))
    return n_total - sum(int((~mask).sum()) for mask in masked)
