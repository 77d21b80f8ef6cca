"""`config.json` of a checkpoint: written for a shape, and held against what a model of ours computes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.family import NORM_EPS, ROTARY_BASE
from wse_sim.errors import SpecError
from wse_sim.spec.hugging_face_tensors import FAMILIES, layout_of
from wse_sim.spec.model import ModelShape

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
IMPORTED = ("gpt2", "llama")
_SILU = ("silu", "swish")
_GELU = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")


def config_of(shape: ModelShape, *, is_tied: bool, dtype: "torch.dtype", end_id: int | None = None) -> dict[str, Any]:
    """The content of `config.json` for a model of this shape.

    Parameters
    ----------
    end_id :
        The token that ends a document, at which `generate` stops; None = no id has a special meaning.

    Raises
    ------
    SpecError
        When no stock model computes what one of this shape computes.
    """
    layout = layout_of(shape)
    name_of_dtype = str(dtype).removeprefix("torch.")
    return {
        "architectures": [FAMILIES[layout].architecture],
        "model_type": layout,
        **(_gpt2(shape) if layout == "gpt2" else _llama(shape)),
        "vocab_size": shape.vocab_size,
        "tie_word_embeddings": is_tied,
        "bos_token_id": None,
        "eos_token_id": end_id,
        "torch_dtype": name_of_dtype,  # what transformers 4 reads, and 5 still does
    }


def require_exact(config: Mapping[str, Any], where: str) -> None:
    """Raise SpecError when a model of ours would not compute what the one of a configuration computes."""
    kind = config.get("model_type")
    if kind not in IMPORTED:
        raise SpecError(
            f"{where}: model_type is {kind!r}: weights of {' and '.join(IMPORTED)} can be imported; of the others only "
            "the shape is read"
        )
    for key, (default, right) in (_GPT2_KEYS if kind == "gpt2" else _LLAMA_KEYS).items():
        value = config.get(key)
        value = default if value is None else value
        if value not in right:
            raise SpecError(
                f"{where}: {key} is {value!r}, and the models here have {right[0]!r}: "
                "their logits would not be this checkpoint's"
            )
    if kind == "llama":
        _require_plain_rotation(config, where)


def _gpt2(shape: ModelShape) -> dict[str, Any]:
    return {
        "n_layer": shape.n_layers,
        "n_embd": shape.d_model,
        "n_head": shape.n_heads,
        "n_inner": shape.d_ff,
        "n_positions": shape.seq_len,
        "activation_function": "gelu_new" if shape.feed_forward == "gelu_tanh" else "gelu",
        "layer_norm_epsilon": NORM_EPS,
        "scale_attn_weights": True,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def _llama(shape: ModelShape) -> dict[str, Any]:
    return {
        "num_hidden_layers": shape.n_layers,
        "hidden_size": shape.d_model,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.d_ff,
        "max_position_embeddings": shape.seq_len,
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROTARY_BASE,
        "attention_bias": shape.has_biases,
        "mlp_bias": shape.has_biases,
        "attention_dropout": 0.0,
    }


# Key -> what transformers takes where it is left out, and what a model of ours has.
_GPT2_KEYS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "activation_function": ("gelu_new", _GELU),
    "layer_norm_epsilon": (1e-5, (NORM_EPS,)),
    "scale_attn_weights": (True, (True,)),
    "scale_attn_by_inverse_layer_idx": (False, (False,)),
    "add_cross_attention": (False, (False,)),
}
_LLAMA_KEYS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "hidden_act": ("silu", _SILU),
    "rms_norm_eps": (1e-6, (NORM_EPS,)),
}


def _require_plain_rotation(config: Mapping[str, Any], where: str) -> None:
    """transformers 5 keeps in `rope_parameters` what 4 has in `rope_theta` and `rope_scaling`."""
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(said, dict):
        raise SpecError(f"{where}: rope_parameters is {said!r}, it must be an object")
    kind = said.get("rope_type") or said.get("type") or "default"
    theta = said.get("rope_theta") or config.get("rope_theta") or ROTARY_BASE
    if kind != "default" or theta != ROTARY_BASE or said.get("partial_rotary_factor", 1.0) != 1.0:
        raise SpecError(
            f"{where}: positions are rotated by {kind} with theta {theta!r}, and the models here have the default with "
            f"theta {ROTARY_BASE:g}: their logits would not be this checkpoint's"
        )
