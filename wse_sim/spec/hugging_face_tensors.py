"""The tensors of the checkpoints that stock `transformers` models load, and where each is found in ours.

Only names, shapes and places: no numbers. Two layouts are exact for a model of ours: GPT-2's, whose linear layers are
stored as (in, out) with query, key and value packed side by side, and Llama's, as (out, in), each matrix by itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

HuggingFaceLayout = Literal["gpt2", "llama"]
Use = Literal["embedding", "logits", "queries", "queries_keys_values", "residual", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFaceTensor:
    """One tensor of a checkpoint for `transformers`.

    Parameters
    ----------
    name, shape :
        Its own.
    own :
        Name of our parameter that it is a part of.
    first_row :
        Of our parameter, from which on it is taken; all that follow unless `shape` says fewer.
    is_transposed :
        Against ours.
    use :
        What a multiplier of the forward pass has to be folded into.
    is_optional :
        A bias or the like that our model lacks where its shape has none: zeros stand for it.
    """

    name: str
    shape: tuple[int, ...]
    own: str
    first_row: int = 0
    is_transposed: bool = False
    use: Use = "other"
    is_optional: bool = False

    @property
    def n_rows(self) -> int:
        """Of our parameter, that it takes."""
        return self.shape[-1 if self.is_transposed else 0]

    @property
    def rows(self) -> slice:
        """Those, in our parameter."""
        return slice(self.first_row, self.first_row + self.n_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One layout of checkpoints.

    Parameters
    ----------
    architecture :
        Class of `transformers`.
    prefix :
        Of the names in a whole language model; checkpoints of the bare network leave it out.
    ignored :
        Ends of names of constant tables that older checkpoints hold.
    """

    architecture: str
    prefix: str
    ignored: tuple[str, ...]
    tensors: Callable[[ModelShape], Iterator[HuggingFaceTensor]]


def layout_of(shape: ModelShape) -> HuggingFaceLayout:
    """The layout that computes what a model of this shape computes.

    Raises
    ------
    SpecError
        When there is none.
    """
    said = (shape.positions, shape.norm, shape.feed_forward)
    if said in (("learned", "layernorm", "gelu"), ("learned", "layernorm", "gelu_tanh")):
        if shape.kv_heads == shape.n_heads:
            return "gpt2"
    elif said == ("rotary", "rmsnorm", "swiglu"):
        return "llama"
    raise SpecError(
        f"model {shape.name!r} has positions {shape.positions}, norm {shape.norm}, feed_forward {shape.feed_forward}, "
        f"{shape.n_heads} heads and {shape.kv_heads} of keys: no checkpoint of transformers says that exactly; "
        "there are GPT-2's (learned, layernorm, gelu or gelu_tanh, as many heads of keys) and Llama's (rotary, "
        "rmsnorm, swiglu)"
    )


def hugging_face_tensors(shape: ModelShape, *, is_untied: bool = False) -> tuple[HuggingFaceTensor, ...]:
    """The tensors of a checkpoint of a model of this shape, in the order of its forward pass.

    Parameters
    ----------
    is_untied :
        The output layer of a tied model is a tensor of its own.

    Raises
    ------
    SpecError
        As `layout_of`.
    """
    found = list(FAMILIES[layout_of(shape)].tensors(shape))
    if is_untied or not shape.is_tied:
        own = "token.weight" if shape.is_tied else "output.weight"
        head = (shape.vocab_size, shape.d_model)
        found.append(HuggingFaceTensor(name="lm_head.weight", shape=head, own=own, use="logits"))
    return tuple(found)


def _gpt2(shape: ModelShape) -> Iterator[HuggingFaceTensor]:
    d = shape.d_model
    yield _plain("transformer.wte.weight", "token.weight", (shape.vocab_size, d), "embedding")
    yield _plain("transformer.wpe.weight", "position.weight", (shape.seq_len, d), "embedding")
    for i in range(shape.n_layers):
        theirs, ours = f"transformer.h.{i}", f"blocks.{i}"
        yield from _layer_norm(f"{theirs}.ln_1", f"{ours}.norm_attention", shape)
        yield from _conv1d(f"{theirs}.attn.c_attn", f"{ours}.attention.qkv", (d, 3 * d), shape, "queries_keys_values")
        yield from _conv1d(f"{theirs}.attn.c_proj", f"{ours}.attention.out", (d, d), shape, "residual")
        yield from _layer_norm(f"{theirs}.ln_2", f"{ours}.norm_mlp", shape)
        yield from _conv1d(f"{theirs}.mlp.c_fc", f"{ours}.mlp.up", (d, shape.d_ff), shape, "other")
        yield from _conv1d(f"{theirs}.mlp.c_proj", f"{ours}.mlp.down", (shape.d_ff, d), shape, "residual")
    yield from _layer_norm("transformer.ln_f", "norm_out", shape)


def _llama(shape: ModelShape) -> Iterator[HuggingFaceTensor]:
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    yield _plain("model.embed_tokens.weight", "token.weight", (shape.vocab_size, d), "embedding")
    for i in range(shape.n_layers):
        theirs, ours = f"model.layers.{i}", f"blocks.{i}"
        yield _plain(f"{theirs}.input_layernorm.weight", f"{ours}.norm_attention.weight", (d,))
        qkv = f"{ours}.attention.qkv"
        yield from _linear(f"{theirs}.self_attn.q_proj", qkv, (d, d), shape, "queries")
        yield from _linear(f"{theirs}.self_attn.k_proj", qkv, (kv, d), shape, first_row=d)
        yield from _linear(f"{theirs}.self_attn.v_proj", qkv, (kv, d), shape, first_row=d + kv)
        yield from _linear(f"{theirs}.self_attn.o_proj", f"{ours}.attention.out", (d, d), shape, "residual")
        yield _plain(f"{theirs}.post_attention_layernorm.weight", f"{ours}.norm_mlp.weight", (d,))
        yield from _linear(f"{theirs}.mlp.gate_proj", f"{ours}.mlp.gate", (shape.d_ff, d), shape)
        yield from _linear(f"{theirs}.mlp.up_proj", f"{ours}.mlp.up", (shape.d_ff, d), shape)
        yield from _linear(f"{theirs}.mlp.down_proj", f"{ours}.mlp.down", (d, shape.d_ff), shape, "residual")
    yield _plain("model.norm.weight", "norm_out.weight", (d,))


def _plain(name: str, own: str, dims: tuple[int, ...], use: Use = "other") -> HuggingFaceTensor:
    return HuggingFaceTensor(name=name, shape=dims, own=own, use=use)


def _layer_norm(theirs: str, ours: str, shape: ModelShape) -> Iterator[HuggingFaceTensor]:
    yield _plain(f"{theirs}.weight", f"{ours}.weight", (shape.d_model,))
    yield _bias(theirs, ours, shape.d_model, shape)


def _conv1d(theirs: str, ours: str, dims: tuple[int, int], shape: ModelShape, use: Use) -> Iterator[HuggingFaceTensor]:
    """GPT-2's linear layer, of (n_in, n_out)."""
    yield HuggingFaceTensor(name=f"{theirs}.weight", shape=dims, own=f"{ours}.weight", is_transposed=True, use=use)
    yield _bias(theirs, ours, dims[1], shape, use)


def _linear(
    theirs: str, ours: str, dims: tuple[int, int], shape: ModelShape, use: Use = "other", *, first_row: int = 0
) -> Iterator[HuggingFaceTensor]:
    yield HuggingFaceTensor(name=f"{theirs}.weight", shape=dims, own=f"{ours}.weight", first_row=first_row, use=use)
    if shape.has_biases:
        yield _bias(theirs, ours, dims[0], shape, use, first_row=first_row)


def _bias(
    theirs: str, ours: str, n: int, shape: ModelShape, use: Use = "other", *, first_row: int = 0
) -> HuggingFaceTensor:
    return HuggingFaceTensor(
        name=f"{theirs}.bias",
        shape=(n,),
        own=f"{ours}.bias",
        first_row=first_row,
        use=use,
        is_optional=not shape.has_biases,
    )


FAMILIES: Mapping[HuggingFaceLayout, Family] = {
    "gpt2": Family(
        architecture="GPT2LMHeadModel",
        prefix="transformer.",
        ignored=(".attn.bias", ".attn.masked_bias"),
        tensors=_gpt2,
    ),
    "llama": Family(
        architecture="LlamaForCausalLM", prefix="model.", ignored=(".rotary_emb.inv_freq",), tensors=_llama
    ),
}
