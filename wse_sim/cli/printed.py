"""What commands print that put several structs together as they print: each function makes the type of one document.

Types that a command prints as they are need nothing here (`wse_sim.cli.documents`).
"""

from typing import Literal, NotRequired, TypedDict

Measured = Literal["measured"]


def train_several() -> type:
    from training.summary import Summary

    class ComparedRun(TypedDict):
        """One run of several."""

        run: str
        density: float
        schedule: str
        summary: Summary

    class RunComparison(TypedDict):
        """Runs of one model at several densities or with several schedules, side by side."""

        version: str
        command: str
        rows: list[ComparedRun]

    return RunComparison


def train_verify_resume() -> type:
    from training.verify_resume import ResumeProof

    class ResumeProofs(TypedDict):
        """For each run, the proof that it goes on as if nothing had happened."""

        kind: Measured
        runs: dict[str, ResumeProof]

    return ResumeProofs


def compare_run() -> type:
    from wse_sim.executed import LayerComparison
    from wse_sim.report.metrics import SimulationResult

    class ExecutedStep(TypedDict):
        """A step that the streaming executor made here, beside the same step simulated, layer by layer."""

        step: int
        tokens: int
        density: float
        is_same_order: bool
        layers: list[LayerComparison]
        simulated: SimulationResult

    return ExecutedStep


def sweep() -> type:
    from wse_sim.sweeps.keys import Value
    from wse_sim.sweeps.sweep import Kind

    class SweepTable(TypedDict):
        """Many configurations, simulated or trained: a row for each."""

        kind: Kind
        n_points: int
        n_ok: int
        n_infeasible: int
        n_diverged: NotRequired[int]
        assumed: NotRequired[list[str]]
        rows: list[dict[str, Value | None]]

    return SweepTable


def validate() -> type:
    from wse_sim.calibration import FittedConstant
    from wse_sim.validation import Accuracy, ValidationRow

    ValidationErrors = TypedDict(
        "ValidationErrors",
        {
            "wafer fit": NotRequired[Accuracy],
            "wafer predicted": NotRequired[Accuracy],
            "wafer without the row": NotRequired[Accuracy],
            "wafer without its group": NotRequired[Accuracy],
            "gpu fit": NotRequired[Accuracy],
            "gpu predicted": NotRequired[Accuracy],
            "gpu without the row": NotRequired[Accuracy],
            "gpu without its group": NotRequired[Accuracy],
        },
    )
    ValidationErrors.__doc__ = "Errors summed up by side, and by what the fit has seen of the rows."

    class Validation(TypedDict):
        """Every published row beside the simulator's prediction, errors summed up, and the fitted constants."""

        rows: list[ValidationRow]
        errors: ValidationErrors
        errors_by_group: dict[str, Accuracy]
        fitted_constants: list[FittedConstant]

    return Validation


def calibrate() -> type:
    from wse_sim.calibration.own_fit import OwnConstant, OwnRow
    from wse_sim.validation import Accuracy, Side

    class MeasuredRuns(TypedDict):
        """The file of the measured runs."""

        path: str
        sha256: str
        n_rows: int

    class FitErrors(TypedDict):
        """Errors of all rows, summed up."""

        before: Accuracy
        after: Accuracy
        left_out: Accuracy

    class Calibrated(TypedDict):
        """Constants fitted to runs that the user measured."""

        side: Side
        base: str
        measurements: MeasuredRuns
        unit: str
        rows: list[OwnRow]
        constants: list[OwnConstant]
        errors: FitErrors
        notes: list[str]
        files: list[str]

    return Calibrated


def project() -> type:
    from wse_sim.laws.choice import LawName
    from wse_sim.laws.power_lines import Recommendation
    from wse_sim.workload.flops import Convention

    class Advice(Recommendation, frozen=True, kw_only=True):
        """Batch, timescale and weight decay of least loss, by Power Lines."""

        kind: Literal["projected"]
        tokens: float

    class ProjectionLaw(TypedDict):
        """The law, as it was fitted to the runs or as it is published."""

        name: LawName
        equation: str
        reason: str
        coefficients: dict[str, float]
        coefficient_intervals: NotRequired[dict[str, tuple[float, float]]]
        residual_std: float
        largest_residual: NotRequired[float]
        n_rows: NotRequired[int]
        n_runs: NotRequired[int]
        n_starts: NotRequired[int]
        n_agreeing: NotRequired[int]
        convention: Convention

    class ProjectionRow(TypedDict):
        """Runs that differ in their seed alone."""

        runs: list[str]
        n_layers: int
        d_model: int
        density: float
        tokens: float
        flops: float
        losses: list[float]
        loss: float
        law_loss: float | None

    class ProjectedLoss(TypedDict):
        """The loss that a model would reach, by a law fitted to runs or published."""

        kind: Literal["projected"]
        model: str
        density: float
        params: int
        nonzero_params: int
        vocab_size: int
        seq_len: int
        tokens: float
        tokens_per_parameter: float
        flops: float
        convention: Convention
        loss: float
        loss_low: float
        loss_high: float
        loss_unit: str
        intervals: NotRequired[dict[str, tuple[float, float]]]
        law: ProjectionLaw
        effective_flops: NotRequired[float]
        extrapolation: dict[str, float]
        rows: list[ProjectionRow]
        caveats: list[str]
        recommended: Advice

    return ProjectedLoss


def explain() -> type:
    from wse_sim.report.fields import Field

    class ExplainedFields(TypedDict):
        """Fields of results: what each means."""

        fields: list[Field]

    return ExplainedFields


def explain_constants() -> type:
    from msgspec import UNSET, UnsetType

    from wse_sim.spec.sourced import Sourced

    class ExplainedConstant(Sourced, frozen=True, kw_only=True):
        """One number about the world; those of a grid say whose it is."""

        place: str | UnsetType = UNSET

    class ExplainedConstants(TypedDict):
        """Constants by name: of a system, of GPUs and their programs, of a whole run, or of carbon and money."""

        system: NotRequired[str]
        gpu: NotRequired[str]
        operations: NotRequired[Literal["default"]]
        economics: NotRequired[Literal["default"]]
        constants: dict[str, ExplainedConstant]

    return ExplainedConstants
