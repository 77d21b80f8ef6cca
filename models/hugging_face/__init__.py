"""Checkpoints that stock `transformers` models load: read from a local folder, and written into one.

Names come with the first use: what reads `config.json` alone needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.hugging_face.load import load_gpt
    from models.hugging_face.read import HuggingFaceWeights
    from models.hugging_face.tensors import read_tensors

__all__ = ["HuggingFaceWeights", "load_gpt", "read_tensors"]

_HOMES = {"HuggingFaceWeights": "read", "load_gpt": "load", "read_tensors": "tensors"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
