"""The `sparsity:` block of the published form: filters of its parameter names, on the matrices that there are here.

Names of parameters: Cerebras ModelZoo 2.10, layers/AttentionLayer.py, FeedForwardNetwork.py, TransformerDecoder.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from msgspec.structs import replace

from wse_sim.errors import SpecError, errors_at
from wse_sim.spec.model import ModelShape
from wse_sim.spec.model_zoo.ledger import Section
from wse_sim.spec.model_zoo.sparse_words import note_algorithm
from wse_sim.spec.model_zoo.yaml_text import KeyPath
from wse_sim.spec.sparsity import WRAPPERS, Algorithm, Static, configure
from wse_sim.spec.sparsity.density import density_together, final_density, hidden_matrices

_DENSE = (
    "model.embedding_layer.word_embeddings.weight",
    "model.lm_head.weight",
)
_LAYER = "model.transformer_decoder.layers.{layer}."
# Matrix here -> parameters there; their q, k and v are one matrix here.
_THEIRS: Mapping[str, tuple[str, ...]] = {
    "attention.qkv": tuple(f"self_attn.proj_{part}_dense_layer.weight" for part in "qkv"),
    "attention.out": ("self_attn.proj_output_dense_layer.weight",),
    "mlp.up": ("ffn.ffn.0.linear_layer.weight",),
    "mlp.gate": ("ffn.ffn.0.linear_layer_for_glu.weight",),
    "mlp.down": ("ffn.ffn.1.linear_layer.weight",),
}


def sparsity_of(init: Section, shape: ModelShape, n_steps: int) -> tuple[tuple[Algorithm, ...], float]:
    """The algorithms of a run of `n_steps`, with filters of our names, and the density that they make.

    Raises
    ------
    SpecError
        When a key or value is wrong, or a filter takes a part of the matrix that query, key and value are here.
    """
    block = init.value("sparsity", "", None)
    if block is None:
        return (Static(),), 1.0
    if isinstance(block, int | float):
        init.understand("sparsity", block, "1 - density")
        algorithms = list(configure(block, init.place("sparsity")))
    else:
        algorithms = _listed(_tables(block, init, ("sparsity",)), shape, n_steps)
    if not algorithms:
        raise SpecError(f"{init.place('sparsity')}: is empty: leave it out where nothing is masked")
    density = density_together(algorithms, shape, n_steps=n_steps)
    (first, *others) = algorithms
    if not others and density == final_density(first, n_steps):  # it masks every matrix, or none
        is_number = isinstance(first.sparsity, int | float)
        return (replace(first, param_filter=None, **({"sparsity": None} if is_number else {})),), density
    return tuple(algorithms), density


def _tables(block: Any, of: Section, path: KeyPath) -> Iterator[Section]:
    """What is said of each algorithm, however they are grouped."""
    if isinstance(block, list):
        for number, entry in enumerate(block):
            yield from _tables(entry, of, (*path, number))
        return
    if not isinstance(block, dict):
        raise SpecError(f"{of.place(*path)} is {block}, it must say an algorithm, key by key")
    table = of.at(block, *path)
    wrapper = next((key for key in WRAPPERS if key in table), None)
    if wrapper is None:
        yield table
        return
    inner = table.value(wrapper, "")
    table.finish()
    yield from _tables(inner, of, (*path, wrapper))


def _listed(tables: Iterable[Section], shape: ModelShape, n_steps: int) -> list[Algorithm]:
    """Their algorithms; in a list, the first that takes a matrix masks it."""
    left = dict.fromkeys(hidden_matrices(shape))
    n_matrices = len(left)
    algorithms: list[Algorithm] = []
    for table in tables:
        where = table.place()
        said = {key: table.value(key, "") for key in table.keys if key != "add_summaries"}
        table.finish()
        (algorithm,) = configure(said, where)
        _require_sparsity(algorithm, n_steps, where)
        named = _taken_by(algorithm.param_filter, shape, where)
        mine = [name for name in left if name in named]
        note_algorithm(table, said, algorithm, mine, n_matrices=n_matrices)
        if mine:
            algorithms.append(replace(algorithm, param_filter=_filter(mine, shape)))
        for name in mine:
            del left[name]
    return algorithms


def _require_sparsity(algorithm: Algorithm, n_steps: int, where: str) -> None:
    if algorithm.sparsity is None:
        raise SpecError(f"{where}: an algorithm says no sparsity")
    with errors_at(where):
        density = final_density(algorithm, n_steps)
    if not density > 0:
        raise SpecError(f"{where}: no weight is left after the last update: sparsity must end below 1")


def _taken_by(globs: str | tuple[str, ...] | None, shape: ModelShape, where: str) -> set[str]:
    """The hidden matrices, by our names, that a filter names; without one all of them."""
    ours = hidden_matrices(shape)
    if globs is None:
        return set(ours)
    wanted = (globs,) if isinstance(globs, str) else globs
    if also := [name for name in _DENSE if any(fnmatchcase(name, glob) for glob in wanted)]:
        raise SpecError(f"{where}: param_filter {list(wanted)} matches {also[0]}: embeddings and the output layer stay "
                        "dense here")  # fmt: skip
    found = set()
    for name in ours:
        layer, kind = _parts(name)
        full = [_LAYER.format(layer=layer) + their for their in _THEIRS[kind]]
        matched = [any(fnmatchcase(each, glob) for glob in wanted) for each in full]
        if any(matched) and not all(matched):
            left = ", ".join(each for each, is_matched in zip(full, matched, strict=True) if not is_matched)
            raise SpecError(f"{where}: param_filter leaves out {left}: query, key and value are one matrix here, "
                            "masked as one")  # fmt: skip
        if any(matched):
            found.add(name)
    if not found:
        there = ", ".join(their for kind in _kinds(shape) for their in _THEIRS[kind])
        raise SpecError(f"{where}: param_filter {list(wanted)} matches no matrix of a layer; there are {there}")
    return found


def _filter(names: list[str], shape: ModelShape) -> tuple[str, ...]:
    """Globs of our names: one for each kind of matrix that is there in every layer, the names of the others."""
    globs: list[str] = []
    for kind in _kinds(shape):
        of_kind = [name for name in names if _parts(name)[1] == kind]
        globs += [f"blocks.*.{kind}.weight"] if len(of_kind) == shape.n_layers else of_kind
    return tuple(globs)


def _kinds(shape: ModelShape) -> list[str]:
    return list(dict.fromkeys(_parts(name)[1] for name in hidden_matrices(shape)))


def _parts(name: str) -> tuple[str, str]:
    """Layer and kind of a matrix of ours."""
    _, layer, kind = name.removesuffix(".weight").split(".", 2)
    return layer, kind
