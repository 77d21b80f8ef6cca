"""Fitting the few calibrated constants of a system to published rows."""

from collections.abc import Sequence

import numpy as np

from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.validation import WaferRow

FITTED = ("csx.linear_efficiency", "csx.attention_efficiency", "csx.layer_overhead_s")

_STEP = 1e-3  # of the finite differences, in the logarithm of a constant
_LARGEST_MOVE = 0.3
_TOLERANCE = 1e-5


def fit(rows: Sequence[WaferRow], names: Sequence[str] = FITTED) -> dict[str, float]:
    """The constants called `names` that bring the predictions nearest to `rows`.

    Least squares of log(predicted / published), by Gauss-Newton in the logarithms of the constants, from the shipped
    values. Everything else stays as shipped.

    Parameters
    ----------
    rows :
        All of one system, and at least as many as constants.
    """
    cluster = load_cluster(rows[0].system, rows[0].num_csx)
    logs = np.log([_value(cluster, name) for name in names])
    for _ in range(40):
        residuals = _residuals(rows, names, logs)
        slopes = [(_residuals(rows, names, logs + _STEP * axis) - residuals) / _STEP for axis in np.eye(len(names))]
        move = np.linalg.lstsq(np.stack(slopes, axis=1), -residuals)[0]
        logs = logs + np.clip(move, -_LARGEST_MOVE, _LARGEST_MOVE)
        if np.abs(move).max() < _TOLERANCE:
            break
    return dict(zip(names, np.exp(logs).tolist(), strict=True))


def _residuals(rows: Sequence[WaferRow], names: Sequence[str], logs: np.ndarray) -> np.ndarray:
    def change(cluster: Cluster) -> Cluster:
        for name, log in zip(names, logs, strict=True):
            cluster = cluster.with_constant(name, float(np.exp(log)))
        return cluster

    return np.array([np.log(row.predicted_samples_per_s(change) / row.samples_per_s) for row in rows])


def _value(cluster: Cluster, name: str) -> float:
    part, field = name.split(".")
    return float(getattr(getattr(cluster, part), field))
