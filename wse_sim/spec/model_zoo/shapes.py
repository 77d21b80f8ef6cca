"""The shape of a model from the `model:` block of the published form.

Defaults are those of the configuration classes of Cerebras ModelZoo 2.10 (gpt2, gptj, bert).
"""

from wse_sim.errors import SpecError, errors_at
from wse_sim.spec.model import FeedForward, ModelShape, Norm, Positions
from wse_sim.spec.model_zoo.ledger import Section
from wse_sim.spec.model_zoo.reasons import Affects

# How the blocks of these differ from those of GPT-2 is said by their keys.
_DECODERS = (
    "gpt2", "gpt3", "llama", "LlamaModel", "mistral", "bloom", "btlm", "jais", "santacoder", "starcoder", "gemma2",
    "GPT2LMHeadModel",
)  # fmt: skip
_PARALLEL_DECODERS = ("gptj", "gpt-neox", "falcon")
_ENCODERS = ("bert",)
_MASKED_SHARE = 0.15  # BERT, arXiv 1810.04805, Section 3.1
_EPSILON = 1e-5  # of the norms here

_FEED_FORWARDS: dict[str, FeedForward] = {
    "gelu": "gelu", "gelu_new": "gelu", "relu": "gelu", "silu": "gelu", "quick_gelu": "gelu", "squared_gelu": "gelu",
    "swiglu": "swiglu", "geglu": "swiglu", "reglu": "swiglu", "liglu": "swiglu",
}  # fmt: skip
_NORMS: dict[str, Norm] = {"layernorm": "layernorm", "rmsnorm": "rmsnorm"}
_POSITIONS: dict[str, Positions] = {"learned": "learned", "rotary": "rotary", "alibi": "alibi"}

_NARROWER = "attention reaches every earlier place here"
# key, the value at which it changes nothing, why another one is not followed, and whose result that changes
_SWITCHES: tuple[tuple[str, object, str, Affects], ...] = (
    ("use_bias_in_output", False, "the output layer has no bias here", "both"),
    ("embedding_layer_norm", False, "no norm follows the embedding here", "both"),
    ("norm_first_sandwich", False, "norms stand before attention and feed-forward alone here", "both"),
    ("attention_sliding_window_length", None, _NARROWER, "both"),
    ("sliding_window_every_other_decoder_layer", False, _NARROWER, "both"),
    ("sliding_window_every_other_decoder_layer_pattern", None, _NARROWER, "both"),
    ("attention_chunk_size", None, _NARROWER, "both"),
    ("attention_vertical_column_spacing", None, _NARROWER, "both"),
    ("attention_vertical_column_width", None, _NARROWER, "both"),
    ("fixed_sparse_attention", None, _NARROWER, "both"),
    ("attention_sink_tokens", None, "there are no sink tokens here", "training"),
    ("use_sink_token", False, "there are no sink tokens here", "training"),
    ("attention_logit_softcapping", None, "scores are not capped here", "training"),
    ("final_logit_softcapping", None, "logits are not capped here", "training"),
    ("attention_qk_norm_layer", None, "queries and keys have no norm here", "both"),
    ("scale_qk_dot_by_layer_idx", False, "scores have the same scale in every layer here", "training"),
    ("attention_type", "scaled_dot_product", "scores are scaled here", "training"),
    ("rel_distance_mode", "default", "distances are not capped here", "training"),
    ("position_embedding_offset", 0, "learned positions begin with the first here", "training"),
    ("num_extra_input_vocab_tokens", 0, "the embedding has the entries of the vocabulary alone here", "both"),
)  # fmt: skip
_DROPOUTS = (
    ("dropout_rate", 0.1), ("attention_dropout_rate", 0.1), ("embedding_dropout_rate", None),
    ("residual_dropout_rate", None),
)  # fmt: skip


def shape_of(model: Section, *, seq_len: int | None, name: str) -> ModelShape:
    """The shape that a `model:` block describes.

    Parameters
    ----------
    seq_len :
        Of the data; None = as many places as the model has.
    name :
        What to call the model.

    Raises
    ------
    SpecError
        When it is no dense transformer decoder or encoder, or a value is wrong.
    """
    family = model.word("name", "family {value}", options=(*_DECODERS, *_PARALLEL_DECODERS, *_ENCODERS))
    _refuse_experts(model)
    is_encoder = family in _ENCODERS
    if family in _PARALLEL_DECODERS:
        model.note("name", family, "attention and feed-forward come one after the other here", "training")
    d_model = model.integer("hidden_size", "d_model", 768)
    _refuse_other_inner_width(model, d_model)
    n_heads = model.integer("num_heads", "n_heads", 12)
    positions = _positions(model, "rotary" if family == "gptj" else "learned")
    places = model.integer("max_position_embeddings", "seq_len, the number of positions", seq_len or 1024)
    shape_fields = {
        "name": name,
        "n_layers": model.integer("num_hidden_layers", "n_layers", 12),
        "d_model": d_model,
        "n_heads": n_heads,
        "d_ff": model.integer("filter_size", "d_ff", 3072),
        "vocab_size": model.integer("vocab_size", "vocab_size", 50257),
        "seq_len": places,
        "n_kv_heads": _n_kv_heads(model, n_heads),
        "feed_forward": _feed_forward(model, "encoder_nonlinearity" if is_encoder else "nonlinearity"),
        "norm": _norm(model),
        "positions": positions,
        "is_tied": model.flag("share_embedding_weights", "is_tied", True),
        "has_biases": _has_biases(model, ffn_default=family != "gptj"),
        "logits_fraction": _MASKED_SHARE if is_encoder else 1.0,
    }
    _note_rotary(model, positions, d_model // n_heads)
    _note_what_is_not_followed(model, is_encoder=is_encoder)
    with errors_at(model.place()):
        return ModelShape(**shape_fields)


def _refuse_experts(model: Section) -> None:
    for key in ("moe", "moe_params"):
        experts = model.section(key, needed=False)
        n_experts = experts.integer("num_experts", "", 1)
        if n_experts > 1:
            raise SpecError(f"{experts.place('num_experts')} is {n_experts}: mixtures of experts are not simulated")
    if layers := model.value("cross_attention_layers", "", []):
        raise SpecError(f"{model.place('cross_attention_layers')} is {layers}: layers that read another model are not "
                        "simulated")  # fmt: skip


def _refuse_other_inner_width(model: Section, d_model: int) -> None:
    inner = model.integer("attention_inner_dim", "the width of attention, d_model", None)
    if inner not in (None, d_model):
        raise SpecError(
            f"{model.place('attention_inner_dim')} is {inner} and hidden_size {d_model}: only shapes where they "
            "agree are simulated"
        )


def _positions(model: Section, default: str) -> Positions:
    word = model.word("position_embedding_type", "positions", default, options=tuple(_POSITIONS))
    return _POSITIONS[word]


def _note_rotary(model: Section, positions: Positions, d_head: int) -> None:
    """Rotary positions here turn every pair of a head, by the base 10000, without scaling."""
    why = "rotary positions turn every pair of a head by the base 10000 here"
    if positions == "rotary" and "rotary_dim" not in model:
        model.note("rotary_dim", "a quarter of a head, its default", why, "training")
    model.switch("rotary_dim", d_head, why, "training" if positions == "rotary" else "nothing")
    model.switch("rope_theta", 10000, why, "training" if positions == "rotary" else "nothing")
    model.switch("pos_scaling_factor", 1, "positions are not scaled here", "training")
    for key in ("pos_scaling_type", "pos_scaling_extra_args"):
        model.ignore(key, "says how pos_scaling_factor acts", "nothing")


def _n_kv_heads(model: Section, n_heads: int) -> int | None:
    module = model.word("attention_module", "heads of keys", None, options=("aiayn_attention", "multiquery_attention"))
    extra = model.section("extra_attention_params", needed=False)
    n_groups = extra.integer("num_kv_groups", "n_kv_heads", 1 if module == "multiquery_attention" else None)
    extra.finish()
    return None if module != "multiquery_attention" or n_groups == n_heads else n_groups


def _feed_forward(model: Section, key: str) -> FeedForward:
    word = model.word(key, "", "gelu", options=tuple(_FEED_FORWARDS))
    ours = _FEED_FORWARDS[word]
    model.one_way(key, word, ours, f"{ours} here, which has the same matrices", "training")
    return ours


def _norm(model: Section) -> Norm:
    epsilon = model.number("layer_norm_epsilon", "", _EPSILON)
    model.one_way("layer_norm_epsilon", epsilon, _EPSILON, f"norms add {_EPSILON:g} here", "training")
    return _NORMS[model.word("norm_type", "norm", "layernorm", options=tuple(_NORMS))]


def _has_biases(model: Section, *, ffn_default: bool) -> bool:
    flags = [
        model.flag(key, "has_biases", default)
        for key, default in (
            ("use_projection_bias_in_attention", True), ("use_ffn_bias_in_attention", True),
            ("use_ffn_bias", ffn_default),
        )
    ]  # fmt: skip
    if any(flags) and not all(flags):
        model.note("use_ffn_bias", flags[2], "all linear layers have biases here, or none has", "both")
    return any(flags)


def _note_what_is_not_followed(model: Section, *, is_encoder: bool) -> None:
    for key, harmless, why, affects in _SWITCHES:
        if is_encoder and key == "embedding_layer_norm":
            continue
        model.switch(key, harmless, why, affects)
    for key, default in _DROPOUTS:
        rate = model.number(key, "", default)
        if rate:
            model.note(key, rate, "nothing drops out here", "training")
        elif rate is not None:
            model.understand(key, rate, "nothing drops out")
