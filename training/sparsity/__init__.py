"""Sparse training: which weights live, and how that changes while a run trains.

What users write about it is in `wse_sim.spec.sparsity`.
"""

from training.sparsity.plan import SparsityPlan, plan_sparsity
from wse_sim.spec.sparsity import (
    ALGORITHMS,
    GMP,
    SET,
    SPDF,
    Algorithm,
    Dynamic,
    RigL,
    Static,
    Update,
    algorithm_name,
    configure,
    group,
    make_algorithm,
)

__all__ = [
    "ALGORITHMS",
    "GMP",
    "SET",
    "SPDF",
    "Algorithm",
    "Dynamic",
    "RigL",
    "SparsityPlan",
    "Static",
    "Update",
    "algorithm_name",
    "configure",
    "group",
    "make_algorithm",
    "plan_sparsity",
]
