"""The fitted constants of the wafer."""

from collections.abc import Mapping, Sequence

from wse_sim.calibration.linear import LinearFit, Row, linear_fit, solve
from wse_sim.calibration.rows import WaferRate
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_release
from wse_sim.validation import Accuracy, accuracy, wafer_rows

FITTED = ("csx.linear_efficiency", "csx.attention_efficiency", "csx.layer_latency_s")
CANDIDATES = {"csx.unfilled_channels": (0.0, 0.25, 0.5, 1.0)}


def fitted_rows() -> list[WaferRate]:
    """The rows of the least-squares fit.

    Not those of a release whose factor is itself a ratio of two published rows: they say nothing more.
    """
    return [
        WaferRate(
            id=row.id,
            group=row.group,
            run=row.run,
            cluster=load_cluster(row.system, row.num_csx),
            samples_per_s=row.samples_per_s,
        )
        for row in wafer_rows()
        if row.used_to_fit and load_release(row.release).value == 1.0
    ]


def shipped() -> dict[str, float]:
    """The constants `FITTED` of the CS-2, as they are in the data."""
    constants = load_cluster("cs2", 1).constants
    return {name: constants[name].value for name in FITTED}


def fit(rows: Sequence[Row] | None = None, fixed: Mapping[str, float] | None = None) -> dict[str, float]:
    """The constants `FITTED` that bring the predictions nearest to `rows`, looked for from the CS-2's shipped values.

    A CS-3 takes the CS-2's, as shipped.

    Parameters
    ----------
    rows :
        None = `fitted_rows`.
    fixed :
        Other constants that are not as shipped.
    """
    return solve(fitted_rows() if rows is None else rows, FITTED, {**(fixed or {}), **shipped()})


def linearised(rows: Sequence[Row], constants: Mapping[str, float], watch: Watch = UNWATCHED) -> LinearFit:
    """The fit to `rows` near `constants`: those of `FITTED`, and others that are not as shipped."""
    return linear_fit(rows, FITTED, constants, watch=watch)


def candidate_accuracies(name: str = "csx.unfilled_channels") -> dict[float, Accuracy]:
    """Leave-one-group-out errors with each of a constant's `CANDIDATES`, and the constants `FITTED` fitted to it."""
    rows, found = fitted_rows(), {}
    for value in CANDIDATES[name]:
        linear = linearised(rows, {name: value, **fit(rows, {name: value})})
        found[value] = accuracy(linear.left_out_errors(linear.groups))
    return found
