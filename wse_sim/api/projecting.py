"""`wse_sim.project`: the loss of a model that nobody trained, from runs or from the published law."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from wse_sim import defaults
from wse_sim.api.asking import asks
from wse_sim.api.notebook import frame, lines_html, plain
from wse_sim.api.parameters import CONVENTIONS, LAWS, ProjectParameters
from wse_sim.api.values import read_number, read_whole
from wse_sim.errors import SpecError, choose
from wse_sim.laws.projection import Projection
from wse_sim.laws.projection import project as project_from
from wse_sim.report.headline import Line
from wse_sim.report.projection import from_runs, from_the_papers, recommended_for, target_lines
from wse_sim.report.quantities import of_density
from wse_sim.report.run_files import runs_in
from wse_sim.report.scaling import read_observation
from wse_sim.spec.load import ModelLike, as_preset
from wse_sim.spec.ranges import check_number
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProjectionResult:
    """A projected loss, with its interval, the law that says so, and what to know before using it.

    Parameters
    ----------
    loss, loss_low, loss_high :
        In `loss_unit`.
    law :
        Name, equation, coefficients and residuals.
    recommended :
        Batch, timescale and weight decay of least loss.
    projection :
        The law as it was fitted to runs; None where it is the published one.
    """

    model: str
    density: float
    tokens: float
    tokens_per_parameter: float
    loss: float
    loss_low: float
    loss_high: float
    loss_unit: str
    law: dict[str, Any]
    rows: list[dict[str, Any]]
    caveats: list[str]
    recommended: dict[str, Any]
    content: dict[str, Any]
    projection: Projection | None = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim project --json` prints."""
        return plain(self.content)

    def to_frame(self) -> "DataFrame":
        """A row for each run that the law was fitted to, those that differ in their seed alone in one.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        return frame(self.rows)

    def __repr__(self) -> str:
        loss = f"{self.loss:.4f} {self.loss_unit} ({self.loss_low:.4f} … {self.loss_high:.4f})"
        return f"<{self.model}{of_density(self.density)}: loss {loss}, {self.law['name']} law, projected>"

    def _repr_html_(self) -> str:
        lines = [
            Line(group="", kind="projected", name=name, value=value, note=note)
            for name, value, note in target_lines(self.content)
        ]
        return lines_html(f"{self.model}{of_density(self.density)}: {self.law['equation']}", lines)


@asks(ProjectParameters, defaults.PROJECT)
def project(*runs: str | PathLike[str], model: ModelLike, **options: Unpack[ProjectParameters]) -> ProjectionResult:
    """Project the loss of a model from finished runs; without runs, by the published law of Cerebras-GPT.

    Parameters
    ----------
    runs :
        Folders of finished runs, or of several that were asked for together.
    model :
        As in `simulate`.
    options :
        The options of `wse-sim project`, by the same names.

    Raises
    ------
    SpecError
        When the input is wrong, or the runs do not support the law.
    """
    return projected([Path(run) for run in runs], model, dict(options))


def projected(runs: list[Path], model: ModelLike, given: dict[str, Any]) -> ProjectionResult:
    """What `project` does."""
    law, convention = choose(given["law"], LAWS, "law"), choose(given["convention"], CONVENTIONS, "FLOP convention")
    tpp = read_number("tpp", given["tpp"])
    if tpp is not None:
        check_number("tokens_per_parameter", tpp, "tpp")
    preset = as_preset(model)
    density = parse_density(read_number("density", given["density"]), read_number("sparsity", given["sparsity"]))
    fitted = None
    if runs:
        fitted = project_from(
            [read_observation(run) for folder in runs for run in runs_in(folder)],
            preset.shape,
            density=density,
            tokens_per_parameter=tpp,
            law=law,
            convention=convention,  # type: ignore[arg-type]  # it was chosen
            seed=read_whole("seed", given["seed"]) or 0,
        )
        content = from_runs(fitted)
    else:
        _require_published(law, convention)
        content = from_the_papers(preset.shape, density=density, tokens_per_parameter=tpp)
    content["recommended"] = recommended_for(preset, content["tokens_per_parameter"])
    named = {name: content[name] for name in ProjectionResult.__dataclass_fields__ if name in content}
    return ProjectionResult(**named, content=content, projection=fitted)


def _require_published(law: str, convention: str) -> None:
    if law not in ("auto", "power"):
        raise SpecError(f"the {law} law has to be fitted to runs: name their folders, or leave --law out")
    if convention != "paper":
        raise SpecError(
            f"without runs the loss comes from Eq. 1 of Cerebras-GPT, which takes FLOPs of convention 'paper', not "
            f"{convention!r}: leave --convention out"
        )
