"""Sparse training: which weights live, and how that changes while a run trains.

Names and arguments are those of `cerebras_pytorch.sparse`.
"""

from training.sparsity.algorithms import (
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
from training.sparsity.configure import configure, make_algorithm
from training.sparsity.plan import SparsityPlan, plan_sparsity
from training.sparsity.updates import Update

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
