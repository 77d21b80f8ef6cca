"""Fitting constants to rows: those that are shipped to published rows, a user's to his own."""

from wse_sim.calibration.gpu import fit_gpu, gpu_linear_fit, shipped_gpu
from wse_sim.calibration.linear import LinearFit
from wse_sim.calibration.validated import Evidence, FittedConstant, evidence
from wse_sim.calibration.wafer import (
    CANDIDATES,
    FITTED,
    candidate_accuracies,
    fit,
    fitted_rows,
    linearised,
    shipped,
)

__all__ = [
    "CANDIDATES",
    "FITTED",
    "Evidence",
    "FittedConstant",
    "LinearFit",
    "candidate_accuracies",
    "evidence",
    "fit",
    "fit_gpu",
    "fitted_rows",
    "gpu_linear_fit",
    "linearised",
    "shipped",
    "shipped_gpu",
]
