"""Sparse training: which weights live, and how that changes while a run trains.

What users write about it is in `wse_sim.spec.sparsity`.
"""

from training.sparsity.plan import SparsityPlan, plan_sparsity

__all__ = ["SparsityPlan", "plan_sparsity"]
