"""The density that algorithms leave in the hidden matrices of a model, each by itself and all together."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity.algorithms import SPDF, Algorithm, Static
from wse_sim.spec.sparsity.hyper import value_at
from wse_sim.spec.sparsity.updates import update_steps

_DIGITS = 12  # 1 - 0.9 is to be 0.1


def hidden_matrices(shape: ModelShape) -> dict[str, int]:
    """Weights of each hidden matrix by its full name, such as `blocks.0.attention.qkv.weight`."""
    d, d_ff = shape.d_model, shape.d_ff
    of_block = {
        "attention.qkv": d * (d + 2 * shape.kv_heads * shape.d_head),
        "attention.out": d * d,
        "mlp.up": d * d_ff,
    }
    if shape.feed_forward == "swiglu":
        of_block["mlp.gate"] = d * d_ff
    of_block["mlp.down"] = d_ff * d
    return {f"blocks.{layer}.{name}.weight": n for layer in range(shape.n_layers) for name, n in of_block.items()}


def masked(algorithm: Algorithm, names: Iterable[str]) -> list[str]:
    """Those of the hidden matrices that an algorithm masks: all of them without a filter."""
    globs = algorithm.param_filter
    if globs is None:
        return list(names)
    wanted = (globs,) if isinstance(globs, str) else globs
    return [name for name in names if any(fnmatchcase(name, glob) for glob in wanted)]


def final_density(algorithm: Algorithm, n_steps: int, density: float = 1.0) -> float:
    """Density of what an algorithm masks after its last update, before masks are lifted.

    Parameters
    ----------
    density :
        What holds where the algorithm names no sparsity.

    Raises
    ------
    SpecError
        When its masks are never updated, or a fraction of the run is none.
    """
    if algorithm.sparsity is None:
        return density
    if isinstance(algorithm, Static | SPDF):
        sparsity = float(algorithm.sparsity)
    else:
        steps = update_steps(algorithm.update, n_steps)
        sparsity = value_at(algorithm.sparsity, steps[-1], len(steps) - 1, n_steps)
    return round(1.0 - sparsity, _DIGITS)


def density_together(
    algorithms: Sequence[Algorithm], shape: ModelShape, *, n_steps: int, density: float = 1.0
) -> float:
    """Density of all hidden matrices together at the end of a run; the first algorithm that takes a matrix masks it.

    Parameters, errors: as for `final_density`.
    """
    n_weights = hidden_matrices(shape)
    live = dict.fromkeys(n_weights, 1.0)
    for algorithm in reversed(algorithms):  # the first has the last word
        live |= dict.fromkeys(masked(algorithm, n_weights), final_density(algorithm, n_steps, density))
    if len(set(live.values())) == 1:
        return live.popitem()[1]
    return sum(live[name] * n for name, n in n_weights.items()) / sum(n_weights.values())
