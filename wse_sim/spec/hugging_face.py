"""Shapes of models from a Hugging Face `config.json`.

Each family's struct holds the keys that its shape depends on, with the default that the `transformers` library gives to
a key that the file leaves out; other keys are ignored.
"""

from typing import Any

import msgspec

from wse_sim.errors import SpecError, choose, errors_at
from wse_sim.spec.model import FeedForward, ModelShape
from wse_sim.spec.reading import convert

_MASKED_SHARE = 0.15  # BERT, arXiv 1810.04805, Section 3.1: 15 % of the tokens are predicted
_OTHER_MODELS = {
    "add_cross_attention": "attention over a second text",
    "is_encoder_decoder": "an encoder beside the decoder",
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"), "several experts"),
}  # keys with which, at more than 1, a configuration has parameters of which its shape knows nothing
_TANH_GELUS = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")  # the same function, written in three ways


class _Gpt2(msgspec.Struct, frozen=True, kw_only=True):
    n_layer: int = 12
    n_embd: int = 768
    n_head: int = 12
    vocab_size: int = 50257
    n_positions: int = 1024
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    tie_word_embeddings: bool = True


class _GptBigcode(_Gpt2, frozen=True, kw_only=True):
    activation_function: str = "gelu_pytorch_tanh"
    multi_query: bool = True


class _Gptj(_Gpt2, frozen=True, kw_only=True):
    n_layer: int = 28
    n_embd: int = 4096
    n_head: int = 16
    vocab_size: int = 50400
    n_positions: int = 2048
    tie_word_embeddings: bool = False


class _Bert(msgspec.Struct, frozen=True, kw_only=True):
    num_hidden_layers: int = 12
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 30522
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    tie_word_embeddings: bool = True


class _GptNeox(_Bert, frozen=True, kw_only=True):
    num_hidden_layers: int = 44
    hidden_size: int = 6144
    num_attention_heads: int = 64
    intermediate_size: int = 24576
    vocab_size: int = 50432
    max_position_embeddings: int = 2048
    attention_bias: bool = True
    tie_word_embeddings: bool = False


class _Llama(_Bert, frozen=True, kw_only=True):
    num_hidden_layers: int = 32
    hidden_size: int = 4096
    num_attention_heads: int = 32
    intermediate_size: int = 11008
    vocab_size: int = 32000
    max_position_embeddings: int = 2048
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False


class _Mistral(_Llama, frozen=True, kw_only=True):
    intermediate_size: int = 14336
    max_position_embeddings: int = 131072
    num_key_value_heads: int | None = 8


class _Mpt(msgspec.Struct, frozen=True, kw_only=True):
    d_model: int = 2048
    n_heads: int = 16
    n_layers: int = 24
    expansion_ratio: int = 4
    max_seq_len: int = 2048
    vocab_size: int = 50368
    tie_word_embeddings: bool = True


def shape_from_hugging_face(config: dict[str, Any], *, name: str, where: str) -> ModelShape:
    """The shape that a Hugging Face configuration describes.

    Parameters
    ----------
    config :
        Content of `config.json`, as any version of `transformers` writes it.
    name :
        What to call the model when the configuration does not say.
    where :
        The file, for messages.

    Raises
    ------
    SpecError
        When the family is unknown, a key is wrong, or the model has parameters that a shape cannot say.
    """
    if not isinstance(config.get("model_type"), str):
        raise SpecError(f"{where}: there is no model_type; known are {', '.join(sorted(_FAMILIES))}")
    family = choose(config["model_type"], _FAMILIES, f"model_type in {where}")
    for key, what in _OTHER_MODELS.items():
        said = config.get(key)
        if said is True or (isinstance(said, int) and said > 1):
            raise SpecError(f"{where}: {key} is {said}, and models with {what} are not simulated")
    said = config.get("_name_or_path")
    label = said if isinstance(said, str) and said else name
    with errors_at(where):
        return _FAMILIES[family](config, label, where)


def _gpt2(config: dict[str, Any], name: str, where: str) -> ModelShape:
    return _of_gpt2_keys(convert(config, _Gpt2, where), name)


def _gpt_bigcode(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _GptBigcode, where)
    return msgspec.structs.replace(_of_gpt2_keys(said, name), n_kv_heads=1 if said.multi_query else None)


def _gptj(config: dict[str, Any], name: str, where: str) -> ModelShape:
    return msgspec.structs.replace(_of_gpt2_keys(convert(config, _Gptj, where), name), positions="rotary")


def _of_gpt2_keys(said: _Gpt2, name: str) -> ModelShape:
    return ModelShape(
        name=name,
        n_layers=said.n_layer,
        d_model=said.n_embd,
        n_heads=said.n_head,
        d_ff=4 * said.n_embd if said.n_inner is None else said.n_inner,
        vocab_size=said.vocab_size,
        seq_len=said.n_positions,
        feed_forward=_feed_forward(said.activation_function),
        is_tied=said.tie_word_embeddings,
    )


def _gpt_neox(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _GptNeox, where)
    _require_biases_alike(attention=said.attention_bias, mlp=True, where=where)
    return msgspec.structs.replace(_of_bert_keys(said, name), positions="rotary")


def _bert(config: dict[str, Any], name: str, where: str) -> ModelShape:
    shape = _of_bert_keys(convert(config, _Bert, where), name)
    return msgspec.structs.replace(shape, logits_fraction=_MASKED_SHARE)


def _of_bert_keys(said: _Bert, name: str) -> ModelShape:
    return ModelShape(
        name=name,
        n_layers=said.num_hidden_layers,
        d_model=said.hidden_size,
        n_heads=said.num_attention_heads,
        d_ff=said.intermediate_size,
        vocab_size=said.vocab_size,
        seq_len=said.max_position_embeddings,
        feed_forward=_feed_forward(said.hidden_act),
        is_tied=said.tie_word_embeddings,
    )


def _llama(config: dict[str, Any], name: str, where: str) -> ModelShape:
    return _of_llama_keys(convert(config, _Llama, where), name, where)


def _mistral(config: dict[str, Any], name: str, where: str) -> ModelShape:
    return _of_llama_keys(convert(config, _Mistral, where), name, where)


def _of_llama_keys(said: _Llama, name: str, where: str) -> ModelShape:
    if said.head_dim is not None and said.head_dim * said.num_attention_heads != said.hidden_size:
        raise SpecError(
            f"{where}: head_dim {said.head_dim} x num_attention_heads {said.num_attention_heads} is not hidden_size "
            f"{said.hidden_size}; only shapes where they agree are simulated"
        )
    _require_biases_alike(attention=said.attention_bias, mlp=said.mlp_bias, where=where)
    n_kv_heads = said.num_key_value_heads
    return msgspec.structs.replace(
        _of_bert_keys(said, name),
        n_kv_heads=None if n_kv_heads == said.num_attention_heads else n_kv_heads,
        feed_forward="swiglu",
        norm="rmsnorm",
        positions="rotary",
        has_biases=said.mlp_bias,
    )


def _mpt(config: dict[str, Any], name: str, where: str) -> ModelShape:
    said = convert(config, _Mpt, where)
    return ModelShape(
        name=name,
        n_layers=said.n_layers,
        d_model=said.d_model,
        n_heads=said.n_heads,
        d_ff=said.expansion_ratio * said.d_model,
        vocab_size=said.vocab_size,
        seq_len=said.max_seq_len,
        positions="alibi",
        is_tied=said.tie_word_embeddings,
        has_biases=False,
    )


def _feed_forward(activation: str) -> FeedForward:
    """Of two matrices; any activation that is no GELU costs what one does."""
    return "gelu_tanh" if activation in _TANH_GELUS else "gelu"


def _require_biases_alike(*, attention: bool, mlp: bool, where: str) -> None:
    if attention != mlp:
        raise SpecError(
            f"{where}: linear layers have biases in {'attention' if attention else 'the feed-forward layer'} alone; "
            "only shapes that have them in all or in none are simulated"
        )


_FAMILIES = {
    "bert": _bert,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gpt_neox": _gpt_neox,
    "gptj": _gptj,
    "llama": _llama,
    "mistral": _mistral,
    "mpt": _mpt,
}
