"""How a run is to be sparse, as users write it: algorithms, the numbers in them that change, and when masks do.

Names and arguments are those of `cerebras_pytorch.sparse`. What the records make of a model is in `training.sparsity`.
"""

from wse_sim.spec.sparsity.algorithms import (
    ALGORITHMS,
    GMP,
    SET,
    SPDF,
    Algorithm,
    Dynamic,
    RigL,
    Static,
    algorithm_name,
    group,
)
from wse_sim.spec.sparsity.configure import UPDATE_STOP, WRAPPERS, configure, make_algorithm
from wse_sim.spec.sparsity.stretching import stretched
from wse_sim.spec.sparsity.updates import Update

__all__ = [
    "ALGORITHMS",
    "GMP",
    "SET",
    "SPDF",
    "UPDATE_STOP",
    "WRAPPERS",
    "Algorithm",
    "Dynamic",
    "RigL",
    "Static",
    "Update",
    "algorithm_name",
    "configure",
    "group",
    "make_algorithm",
    "stretched",
]
