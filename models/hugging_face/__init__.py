"""Checkpoints that stock `transformers` models load: read from a local folder, and written into one.

What needs torch comes with its first use: who reads `config.json`, or which tensors there are, does without.
"""

from typing import TYPE_CHECKING, Any

from models.hugging_face.tensors import read_tensors

if TYPE_CHECKING:
    from models.hugging_face.load import load_gpt
    from models.hugging_face.read import HuggingFaceWeights

__all__ = ["HuggingFaceWeights", "load_gpt", "read_tensors"]


def __getattr__(name: str) -> Any:
    if name == "HuggingFaceWeights":
        from models.hugging_face.read import HuggingFaceWeights

        return HuggingFaceWeights
    if name == "load_gpt":
        from models.hugging_face.load import load_gpt

        return load_gpt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
