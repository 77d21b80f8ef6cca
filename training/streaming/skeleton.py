"""The network whose parameters are the store's, and whose hidden matrices are a shared dense block."""

from torch import nn

from models.gpt import GPT, meta_model
from models.parametrization import forward_multipliers
from training.config import TrainConfig
from training.streaming.blocks import Blocks
from training.streaming.store import Store


def streamed_model(config: TrainConfig, store: Store, blocks: Blocks) -> GPT:
    """The model of a configuration. Its blocks give and take gradients; its embeddings ask for none."""
    model = meta_model(config.shape, forward_multipliers(config.parameters_transfer_by, config.shape))
    for name in list(dict(model.named_parameters())):
        module_name, _, own_name = name.rpartition(".")
        if name in store.matrices:
            parent, _, linear_name = module_name.rpartition(".")
            bias = store.pieces.get(f"{module_name}.bias", [None])[0]
            setattr(model.get_submodule(parent), linear_name, blocks.linear(name, bias))
        elif f"{module_name}.weight" not in store.matrices:  # else it came with its matrix
            pieces = store.pieces[name]
            whole = pieces[0] if len(pieces) == 1 else nn.Parameter(store.resident[name], requires_grad=False)
            setattr(model.get_submodule(module_name), own_name, whole)
    model.dot_product.to_empty(device=config.execution.device)
    model.dot_product.fill_tables()
    return model
