"""The `sparsity:` block of the published form: filters of its parameter names, on the matrices that there are here.

Names of parameters: Cerebras ModelZoo 2.10, layers/AttentionLayer.py, FeedForwardNetwork.py, TransformerDecoder.py.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.model_zoo.ledger import Section
from wse_sim.spec.sparsity import SPDF, Algorithm, Static, configure
from wse_sim.spec.sparsity.hyper import value_at
from wse_sim.spec.sparsity.updates import update_steps

_DIGITS = 12
_DENSE = (
    "model.embedding_layer.word_embeddings.weight",
    "model.lm_head.weight",
)
_LAYER = "model.transformer_decoder.layers.{layer}."
# Matrix here -> parameters there; their q, k and v are one matrix here.
_ATTENTION: Mapping[str, tuple[str, ...]] = {
    "attention.qkv": tuple(f"self_attn.proj_{part}_dense_layer.weight" for part in "qkv"),
    "attention.out": ("self_attn.proj_output_dense_layer.weight",),
}
_GELU: Mapping[str, tuple[str, ...]] = {
    "mlp.up": ("ffn.ffn.0.linear_layer.weight",),
    "mlp.down": ("ffn.ffn.1.linear_layer.weight",),
}
_SWIGLU: Mapping[str, tuple[str, ...]] = {
    "mlp.up": ("ffn.ffn.0.linear_layer.weight",),
    "mlp.gate": ("ffn.ffn.0.linear_layer_for_glu.weight",),
    "mlp.down": ("ffn.ffn.1.linear_layer.weight",),
}


def matrices_of(shape: ModelShape) -> dict[str, tuple[tuple[str, ...], int]]:
    """The hidden matrices of a block by their name here: their names there within a layer, and how many weights."""
    d, kv = shape.d_model, shape.kv_heads * shape.d_head
    sizes = {"attention.qkv": d * (d + 2 * kv), "attention.out": d * d}
    names = {**_ATTENTION, **(_SWIGLU if shape.feed_forward == "swiglu" else _GELU)}
    return {name: (theirs, sizes.get(name, d * shape.d_ff)) for name, theirs in names.items()}


def sparsity_of(init: Section, shape: ModelShape, n_steps: int) -> tuple[tuple[Algorithm, ...], float]:
    """The algorithms of a run of `n_steps`, with filters of our names, and the density that they make.

    Raises
    ------
    SpecError
        When a key or value is wrong, or a filter takes a part of the matrix that query, key and value are here.
    """
    block = init.value("sparsity", "how weights are masked", None)
    if block is None:
        return (Static(),), 1.0
    where = init.place("sparsity")
    _drop_summaries(block)
    found = configure(block, where)
    _check_lengths(found, where)
    live = dict.fromkeys(_places(shape), 1.0)
    taken: set[str] = set()
    algorithms: list[Algorithm] = []
    for algorithm in found:
        mine = _taken_by(algorithm, shape, where) - taken
        taken |= mine
        sparsity = final_sparsity(algorithm, n_steps)
        if sparsity is None:
            raise SpecError(f"{where}: an algorithm says no sparsity")
        live |= dict.fromkeys(mine, round(1.0 - sparsity, _DIGITS))
        algorithms.append(msgspec.structs.replace(algorithm, param_filter=_filter(mine, shape)))
    densities = set(live.values())
    if len(algorithms) == 1 and len(densities) == 1:
        (algorithm,), (density,) = algorithms, densities
        is_number = isinstance(algorithm.sparsity, int | float)
        whole = msgspec.structs.replace(algorithm, param_filter=None, **({"sparsity": None} if is_number else {}))
        return (whole,), density
    return tuple(algorithms), _mean(live, shape)


def final_sparsity(algorithm: Algorithm, n_steps: int) -> float | None:
    """Fraction of zeros after the last update, before masks are lifted; None where the algorithm names none."""
    if algorithm.sparsity is None:
        return None
    if isinstance(algorithm, Static | SPDF):
        return float(algorithm.sparsity)
    steps = update_steps(algorithm.update, n_steps)
    return value_at(algorithm.sparsity, steps[-1], len(steps) - 1, n_steps)


def _places(shape: ModelShape) -> list[str]:
    return [f"blocks.{layer}.{name}.weight" for layer in range(shape.n_layers) for name in matrices_of(shape)]


def _taken_by(algorithm: Algorithm, shape: ModelShape, where: str) -> set[str]:
    """The hidden matrices, by our names, that an algorithm masks; without a filter all of them."""
    globs = algorithm.param_filter
    if globs is None:
        return set(_places(shape))
    wanted = (globs,) if isinstance(globs, str) else globs
    if also := [name for name in _DENSE if any(fnmatchcase(name, glob) for glob in wanted)]:
        raise SpecError(f"{where}: param_filter {list(wanted)} matches {also[0]}: embeddings and the output layer stay "
                        "dense here")  # fmt: skip
    found = set()
    for layer in range(shape.n_layers):
        for name, (theirs, _) in matrices_of(shape).items():
            full = [_LAYER.format(layer=layer) + their for their in theirs]
            matched = [any(fnmatchcase(each, glob) for glob in wanted) for each in full]
            if any(matched) and not all(matched):
                left = ", ".join(each for each, is_matched in zip(full, matched, strict=True) if not is_matched)
                raise SpecError(f"{where}: param_filter leaves out {left}: query, key and value are one matrix here, "
                                "masked as one")  # fmt: skip
            if any(matched):
                found.add(f"blocks.{layer}.{name}.weight")
    if not found:
        there = ", ".join(their for theirs, _ in matrices_of(shape).values() for their in theirs)
        raise SpecError(f"{where}: param_filter {list(wanted)} matches no matrix of a layer; there are {there}")
    return found


def _filter(names: set[str], shape: ModelShape) -> tuple[str, ...]:
    """Globs of our names: one for each kind of matrix that is there in every layer, the names of the others."""
    globs: list[str] = []
    for kind in matrices_of(shape):
        mine = [f"blocks.{layer}.{kind}.weight" for layer in range(shape.n_layers)]
        of_kind = [name for name in mine if name in names]
        globs += [f"blocks.*.{kind}.weight"] if of_kind == mine else of_kind
    return tuple(globs)


def _mean(live: Mapping[str, float], shape: ModelShape) -> float:
    """Density of all hidden matrices together."""
    sizes = {name: size for name, (_, size) in matrices_of(shape).items()}
    n_weights = {name: sizes[".".join(name.split(".")[2:-1])] for name in live}
    return sum(live[name] * n for name, n in n_weights.items()) / sum(n_weights.values())


def _drop_summaries(block: Any) -> None:
    for table in block if isinstance(block, list) else [block]:
        if isinstance(table, dict):
            table.pop("add_summaries", None)  # about what is logged


def _check_lengths(found: tuple[Algorithm, ...], where: str) -> None:
    if not found:
        raise SpecError(f"{where}: is empty: leave it out where nothing is masked")
