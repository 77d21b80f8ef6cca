"""Fitting constants to rows: those that are shipped to published rows, a user's to their own."""

from wse_sim.calibration.gpu import fit_gpu, gpu_linear_fit, shipped_gpu
from wse_sim.calibration.linear import LinearFit
from wse_sim.calibration.measurements import read_measurements
from wse_sim.calibration.own_files import own_files
from wse_sim.calibration.own_fit import Calibration, calibrate
from wse_sim.calibration.own_rows import own_runs
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
    "Calibration",
    "Evidence",
    "FittedConstant",
    "LinearFit",
    "calibrate",
    "candidate_accuracies",
    "evidence",
    "fit",
    "fit_gpu",
    "fitted_rows",
    "gpu_linear_fit",
    "linearised",
    "own_files",
    "own_runs",
    "read_measurements",
    "shipped",
    "shipped_gpu",
]
