"""The fitted constants of GPUs and of their training programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

from wse_sim.calibration.linear import LinearFit, LogError, Row, linear_fit, solve
from wse_sim.calibration.rows import GpuRate
from wse_sim.gpu.reference import reference_job
from wse_sim.gpu.spec import gpu_constants
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.load import convert, data_path, read_toml
from wse_sim.validation import gpu_rows

_WHERE = "data/gpu_ties.toml"


class Tie(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A constant that is another one, times a factor."""

    to: str
    factor: float = 1.0
    kind: str
    source: str


@cache
def ties() -> dict[str, Tie]:
    """The constants that are not fitted on their own, since too few rows tell them from another one."""
    return convert(read_toml(data_path("gpu_ties.toml")), dict[str, Tie], _WHERE)


def shipped_gpu() -> dict[str, float]:
    """The fitted constants as they are in the data: those that are called calibrated, and not tied to others."""
    return {
        name: constant.value
        for name, constant in gpu_constants().items()
        if constant.kind == "calibrated" and name not in ties()
    }


def published_gpu_rows() -> list[Row]:
    """The published rows, in the order of `validation.gpu_rows`."""
    return [
        _Tied(
            GpuRate(
                id=name,
                group=series.group,
                job=reference_job(row, series),
                fixed=row.layout,
                tokens_per_s_per_gpu=row.tokens_per_s_per_gpu,
            )
        )
        for name, row, series in gpu_rows()
    ]


def fit_gpu(rows: Sequence[Row] | None = None, start: Mapping[str, float] | None = None) -> dict[str, float]:
    """The constants of `shipped_gpu` that bring the predictions nearest to `rows`; tied ones go with them.

    Parameters
    ----------
    rows :
        None = the published rows that are marked for the fit.
    start :
        Where the search starts; None = from the shipped values.
    """
    if rows is None:
        rows = [row for row, is_fitted in zip(published_gpu_rows(), _is_fitted(), strict=True) if is_fitted]
    return solve(rows, tuple(shipped_gpu()), start or shipped_gpu())


def gpu_linear_fit(watch: Watch = UNWATCHED) -> LinearFit:
    """The fit near the shipped constants, with all published rows; it sees those that are marked for it."""
    constants = shipped_gpu()
    return linear_fit(published_gpu_rows(), tuple(constants), constants, _is_fitted(), watch)


def _is_fitted() -> list[bool]:
    return [row.used_to_fit for _, row, _ in gpu_rows()]


@dataclass(frozen=True, slots=True)
class _Tied:
    """A row whose tied constants go with those that they are tied to."""

    rate: GpuRate

    @property
    def id(self) -> str:
        return self.rate.id

    @property
    def group(self) -> str:
        return self.rate.group

    def near(self, constants: Mapping[str, float]) -> LogError:
        log_error = self.rate.near(_with_tied(constants))
        return lambda constants: log_error(_with_tied(constants))


def _with_tied(constants: Mapping[str, float]) -> dict[str, float]:
    tied = {name: tie.factor * constants[tie.to] for name, tie in ties().items() if tie.to in constants}
    return {**constants, **tied}
