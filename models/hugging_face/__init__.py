"""Checkpoints that stock `transformers` models load: read from a local folder, and written into one."""

from models.hugging_face.load import load_gpt
from models.hugging_face.read import HuggingFaceWeights
from models.hugging_face.tensors import read_tensors

__all__ = ["HuggingFaceWeights", "load_gpt", "read_tensors"]
