"""`wse_sim.compare`: a run on wafers beside the same run on GPUs."""

from itertools import groupby
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from wse_sim import comparison, defaults
from wse_sim.api.asking import asks
from wse_sim.api.gpus import gpu_side_of
from wse_sim.api.notebook import frame, plain, table_html
from wse_sim.api.parameters import CompareParameters
from wse_sim.api.settings import economics_of, operations_of, run_of
from wse_sim.api.values import read_parsed, read_whole
from wse_sim.comparison import here_way, with_here
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.comparison import Comparison
from wse_sim.report.comparison_lines import lines, shown_ways, title
from wse_sim.spec.load import ModelLike
from wse_sim.spec.operations import load_gpu_operations
from wse_sim.spec.run import Run
from wse_sim.spec.written import parse_seconds

if TYPE_CHECKING:
    from pandas import DataFrame

_N_LISTED = 5  # layouts in the result, where nobody says how many


class ComparisonResult(Comparison, frozen=True, kw_only=True):
    """Both sides of the same work; `wse-sim explain FIELD` says what each field is."""

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim compare --json` prints."""
        return plain(self)

    def to_frame(self) -> "DataFrame":
        """A row for each way to make the run; units are in the names of the columns.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        return frame({"way": way, **msgspec.to_builtins(of)} for way, of in self.ways.items())

    def __repr__(self) -> str:
        return f"<{title(self)}: {self.headline}>"

    def _repr_html_(self) -> str:
        names = [way.name for way in shown_ways(self).values()]
        rows: list[tuple[str, ...]] = []
        for group, of_group in groupby(lines(self), key=lambda line: line.group):
            rows.append((group,))
            rows += [(line.name, *line.cells.values(), _kinds(line.kind, line.here)) for line in of_group]
        return table_html(title(self), ("", *names, ""), rows, right=names)


@asks(CompareParameters, defaults.COMPARE)
def compare(model: ModelLike | None = None, **options: Unpack[CompareParameters]) -> ComparisonResult:
    """Compare a run on a wafer-scale cluster with the same run on GPUs: memory, time, energy, cost, loss.

    Parameters
    ----------
    model :
        As in `simulate`.
    options :
        The options of `wse-sim compare`, by the same names; `here` measures this machine too, for so many seconds.

    Raises
    ------
    SpecError
        When the input is wrong, or the run does not fit onto the wafers or the GPUs.
    """
    return compared(model, dict(options))


def compared(model: ModelLike | None, given: dict[str, Any], watch: Watch = UNWATCHED) -> ComparisonResult:
    """What `compare` does, and `watch` hears how far it is."""
    n_layouts = read_whole("layouts", given.pop("layouts")) or 0
    here_s = read_parsed("here", given.pop("here"), parse_seconds)
    if n_layouts < 0:
        raise SpecError(f"--layouts is {n_layouts}: it must be at least 0")
    economics, side = economics_of(given), gpu_side_of(given)
    gpu_operations = operations_of(dict(given), base=load_gpu_operations())
    operations = operations_of(given)
    run = run_of(model, given, watch)
    found = comparison.compare(
        run,
        side,
        n_layouts=n_layouts or _N_LISTED,
        economics=economics,
        operations=operations,
        gpu_operations=gpu_operations,
        watch=watch,
    )
    if here_s is not None:
        found = with_here(found, run, here_way(run, _measured_here(run, here_s, watch)))
    return ComparisonResult(**msgspec.structs.asdict(found))


def _measured_here(run: Run, budget_s: float, watch: Watch) -> dict[str, Any]:
    """What the run takes on this machine, in about `budget_s`."""
    from training.this_machine import measure_here  # torch takes seconds

    found = measure_here(
        run.shape,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        tokens=run.tokens,
        density=run.density,
        budget_s=budget_s,
        say=watch.say,
    )
    values: dict[str, Any] = msgspec.to_builtins(found)
    return values


def _kinds(kind: str, here: tuple[str, str] | None) -> str:
    return kind if here is None or here[1] in ("", kind) else f"{kind}; here {here[1]}"
