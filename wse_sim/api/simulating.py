"""`wse_sim.simulate`: what a training run does on a wafer-scale cluster."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from wse_sim import defaults, simulation
from wse_sim.api.asking import asks, errors_in_keywords
from wse_sim.api.notebook import frame, lines_html, plain
from wse_sim.api.parameters import SimulateParameters
from wse_sim.api.settings import economics_of, operations_of, run_of
from wse_sim.engine.run import finish_times
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report import metrics
from wse_sim.report.headline import headline, title
from wse_sim.report.quantities import duration, money, percent, significant
from wse_sim.report.trace import chrome_trace, trace_extent, write_trace
from wse_sim.runs import density_of_masks
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.load import ModelLike
from wse_sim.spec.run import Run
from wse_sim.wafer.masks import RunMasks, read_run_masks

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_A_TRACE = {"trace-steps": "steps", "trace-max-bytes": "max_bytes"}  # options, and keywords of `SimulationResult`


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What was simulated: enough to make its step again, whose tasks are too many to keep for every result."""

    run: Run
    cluster: Cluster
    masks: RunMasks | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimulationResult(metrics.SimulationResult):
    """A run on a wafer-scale cluster, simulated; `wse-sim explain FIELD` says what each field is.

    Parameters
    ----------
    of :
        The run, its cluster and its masks.
    """

    of: Simulated = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim simulate --json` prints."""
        return plain(self.as_dict())

    def to_frame(self) -> "DataFrame":
        """One row; units are in the names of the columns.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        return frame([self.to_dict()])

    @errors_in_keywords(_OF_A_TRACE)
    def trace(self, steps: int | str | None = None, max_bytes: float | None = None) -> dict[str, Any]:
        """The steady step, or others, as a Chrome trace, which Perfetto opens.

        Parameters
        ----------
        steps, max_bytes :
            As `--trace-steps` and `--trace-max-bytes` of `wse-sim simulate`.

        Raises
        ------
        SpecError
            When they are wrong.
        """
        return chrome_trace(self._step(), trace_extent(steps, max_bytes))

    @errors_in_keywords(_OF_A_TRACE)
    def save_trace(self, path: str | Path, steps: int | str | None = None, max_bytes: float | None = None) -> None:
        """Write `trace(...)` into a file, compressed where its name ends in `.gz`.

        Raises
        ------
        SpecError
            As `trace`, and when it cannot be written.
        """
        write_trace(self._step(), Path(path), trace_extent(steps, max_bytes))

    def _step(self) -> simulation.Simulation:
        run, cluster = self.of.run, self.of.cluster
        plan = plan_step(run, cluster, masks=self.of.masks)
        finish = finish_times(plan.program, self.engine["name"])
        return simulation.Simulation(run=run, cluster=cluster, plan=plan, finish=finish, result=self)

    def __repr__(self) -> str:
        figures = f"{significant(self.tokens_per_s)} tokens/s, MFU {percent(self.mfu)}, {duration(self.run_time_s)}"
        return f"<{title({'simulated': self.to_dict()})}: {figures}, {money(self.cost_usd)}, simulated>"

    def _repr_html_(self) -> str:
        summary = {"simulated": self.to_dict()}
        return lines_html(title(summary), headline(summary))


@asks(SimulateParameters, defaults.SIMULATE)
def simulate(model: ModelLike | None = None, **options: Unpack[SimulateParameters]) -> SimulationResult:
    """Simulate a training run on a wafer-scale cluster: step time, tokens/s, bottleneck, days, energy, carbon, cost.

    Parameters
    ----------
    model :
        Name of a preset, path of a shape TOML or a `config.json`, a `ModelShape` or a `ModelPreset`; None where
        `config` describes the run.
    options :
        The options of `wse-sim simulate`, by the same names.

    Raises
    ------
    SpecError
        When the input is wrong, or the run does not fit onto the cluster; the message says what would be right.

    Examples
    --------
    >>> wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, density=0.25).tokens_per_s
    """
    return result_of(*simulation_of(model, dict(options)))


def simulation_of(
    model: ModelLike | None, given: dict[str, Any], watch: Watch = UNWATCHED
) -> tuple[simulation.Simulation, RunMasks | None]:
    """The whole simulation that `simulate` makes its result of, and the masks of a trained run, if it has them."""
    economics, operations = economics_of(given), operations_of(given)
    mask_from, engine = given.pop("mask_from"), given.pop("engine")
    run, masks = run_of(model, given, watch), None
    if mask_from is not None:
        masks = read_run_masks(Path(mask_from))
        run = density_of_masks(run, masks)
    found = simulation.simulate(
        run, masks=masks, engine=engine, economics=economics, operations=operations, watch=watch
    )
    return found, masks


def result_of(found: simulation.Simulation, masks: RunMasks | None) -> SimulationResult:
    """What users get of a simulation."""
    result = found.result
    named = {name: getattr(result, name) for name in metrics.SimulationResult.__dataclass_fields__}
    return SimulationResult(**named, of=Simulated(run=found.run, cluster=found.cluster, masks=masks))
