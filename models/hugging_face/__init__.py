"""Checkpoints that stock `transformers` models load: read from a local folder, and written into one.

Names come with the first use: what reads `config.json` alone needs no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.hugging_face.load import load_gpt
    from models.hugging_face.read import HuggingFaceWeights
    from models.hugging_face.tensors import read_tensors

__all__ = ["HuggingFaceWeights", "load_gpt", "read_tensors"]


def __getattr__(name: str) -> Any:
    if name == "HuggingFaceWeights":
        from models.hugging_face.read import HuggingFaceWeights

        return HuggingFaceWeights
    if name == "load_gpt":
        from models.hugging_face.load import load_gpt

        return load_gpt
    if name == "read_tensors":
        from models.hugging_face.tensors import read_tensors

        return read_tensors
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
