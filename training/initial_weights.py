"""The weights that a run begins with, where they are not drawn."""

from collections.abc import Mapping

import msgspec
from torch import Tensor

from models.hugging_face.read import HuggingFaceWeights
from models.hugging_face.tensors import digest
from models.parametrization import forward_multipliers
from training.config import InitFrom, TrainConfig
from wse_sim.errors import SpecError


def initial_weights(config: TrainConfig) -> Mapping[str, Tensor] | None:
    """By parameter name, each read when it is asked for; None where they are drawn.

    Where the configuration's parameterization multiplies in the forward pass, its factors are taken out of the weights,
    so that the model begins with the logits of the folder's.

    Raises
    ------
    SpecError
        When the folder holds no such weights, or they are those of another model.
    """
    if config.init_from is None:
        return None
    multipliers = forward_multipliers(config.parameters_transfer_by, config.shape)
    return HuggingFaceWeights(config.init_from.folder, config.shape, multipliers)


def require_initial_weights(config: TrainConfig) -> None:
    """Read the weights that a run begins with, if there are any, one after the other.

    Raises
    ------
    SpecError
        When they cannot be read to the end, or are not what the run needs.
    """
    for _ in (initial_weights(config) or {}).values():
        pass  # each is read as it comes


def with_digest(config: TrainConfig) -> TrainConfig:
    """The configuration with the sha256 of the weights it begins with.

    Raises
    ------
    SpecError
        When there are none, or others than the configuration says.
    """
    said = config.init_from
    if said is None:
        return config
    found = digest(said.folder)
    if said.sha256 not in (None, found):
        raise SpecError(
            f"{said.folder}: the weights have the sha256 {found}, and the run is to begin with {said.sha256}"
        )
    return msgspec.structs.replace(config, init_from=InitFrom(folder=said.folder, sha256=found))
