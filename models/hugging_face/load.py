"""A model of ours from a folder for `transformers`."""

from pathlib import Path

import torch

from models.gpt import GPT, undrawn_model
from models.hugging_face.fold import plain_multipliers
from models.hugging_face.read import HuggingFaceWeights


def load_gpt(folder: Path | str) -> GPT:
    """The model of a folder, in float32: its logits are those of the stock model, but for the rounding of sums.

    Raises
    ------
    SpecError
        As `models.hugging_face.read.HuggingFaceWeights`.
    """
    weights = HuggingFaceWeights(folder)
    model = undrawn_model(weights.shape, plain_multipliers(weights.shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model
