"""Shapes of models from a Hugging Face `config.json`.

Each family's struct holds the keys that its shape depends on, with the default that the `transformers` library gives to
a key that the file leaves out; other keys are ignored.
"""

from typing import Any

import msgspec

from wse_sim.errors import SpecError, choose
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import convert

_MASKED_SHARE = 0.15  # BERT, arXiv 1810.04805, Section 3.1: 15 % of the tokens are predicted


class _Gpt2(msgspec.Struct, frozen=True, kw_only=True):
    n_layer: int
    n_embd: int
    n_head: int
    vocab_size: int
    n_positions: int
    n_inner: int | None = None
    tie_word_embeddings: bool = True


class _Gptj(_Gpt2, frozen=True, kw_only=True):
    tie_word_embeddings: bool = False


class _Bert(msgspec.Struct, frozen=True, kw_only=True):
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    tie_word_embeddings: bool = True


class _GptNeox(_Bert, frozen=True, kw_only=True):
    tie_word_embeddings: bool = False


class _Llama(_Bert, frozen=True, kw_only=True):
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False


def shape_from_hugging_face(config: dict[str, Any], *, name: str, where: str) -> ModelShape:
    """The shape that a Hugging Face configuration describes.

    Parameters
    ----------
    config :
        Content of `config.json`.
    name :
        What to call the model when the configuration does not say.
    where :
        The file, for messages.

    Raises
    ------
    SpecError
        When the family is unknown, or a key is missing or wrong.
    """
    if not isinstance(config.get("model_type"), str):
        raise SpecError(f"{where}: there is no model_type; known are {', '.join(sorted(_FAMILIES))}")
    family = choose(config["model_type"], _FAMILIES, f"model_type in {where}")
    said = config.get("_name_or_path")
    label = said if isinstance(said, str) and said else name
    try:
        return _FAMILIES[family](config, label, where)
    except SpecError as error:
        raise SpecError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def _gpt2(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _Gpt2, where)
    return _of_gpt2_keys(said, name, is_rotary=False)


def _gptj(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _Gptj, where)
    return _of_gpt2_keys(said, name, is_rotary=True)


def _of_gpt2_keys(said: _Gpt2, name: str, *, is_rotary: bool) -> ModelShape:
    return ModelShape(
        name=name,
        n_layers=said.n_layer,
        d_model=said.n_embd,
        n_heads=said.n_head,
        d_ff=4 * said.n_embd if said.n_inner is None else said.n_inner,
        vocab_size=said.vocab_size,
        seq_len=said.n_positions,
        positions="rotary" if is_rotary else "learned",
        is_tied=said.tie_word_embeddings,
    )


def _gpt_neox(config: dict[str, Any], name: str, where: str) -> ModelShape:
    return _of_bert_keys(convert(config, _GptNeox, where), name, is_rotary=True)


def _bert(config: dict[str, Any], name: str, where: str) -> ModelShape:
    shape = _of_bert_keys(convert(config, _Bert, where), name, is_rotary=False)
    return msgspec.structs.replace(shape, logits_fraction=_MASKED_SHARE)


def _of_bert_keys(said: _Bert, name: str, *, is_rotary: bool) -> ModelShape:
    return ModelShape(
        name=name,
        n_layers=said.num_hidden_layers,
        d_model=said.hidden_size,
        n_heads=said.num_attention_heads,
        d_ff=said.intermediate_size,
        vocab_size=said.vocab_size,
        seq_len=said.max_position_embeddings,
        positions="rotary" if is_rotary else "learned",
        is_tied=said.tie_word_embeddings,
    )


def _llama(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _Llama, where)
    if said.head_dim is not None and said.head_dim * said.num_attention_heads != said.hidden_size:
        raise SpecError(
            f"{where}: head_dim {said.head_dim} x num_attention_heads {said.num_attention_heads} is not hidden_size "
            f"{said.hidden_size}; only shapes where they agree are simulated"
        )
    shape = _of_bert_keys(said, name, is_rotary=True)
    return msgspec.structs.replace(
        shape,
        n_kv_heads=said.num_key_value_heads,
        feed_forward="swiglu",
        norm="rmsnorm",
        has_biases=said.attention_bias or said.mlp_bias,
    )


_FAMILIES = {"bert": _bert, "gpt2": _gpt2, "gpt_neox": _gpt_neox, "gptj": _gptj, "llama": _llama}
