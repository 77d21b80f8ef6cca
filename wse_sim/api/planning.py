"""`wse_sim.plan`: what to book for a deadline, a purse, a power cap or a target loss."""

from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import asdict

from wse_sim import defaults
from wse_sim.api.asking import asks, by_option, in_keywords
from wse_sim.api.notebook import frame, plain, table_html
from wse_sim.api.parameters import PlanParameters
from wse_sim.api.settings import economics_of, operations_of
from wse_sim.api.values import as_text, read_number, read_whole
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.files import candidate_columns
from wse_sim.planning.outcomes import Question
from wse_sim.planning.planner import plan_of
from wse_sim.planning.result import Plan
from wse_sim.planning.search import Search, search
from wse_sim.planning.space import Space
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.markup import paragraph
from wse_sim.report.plan_tables import front_section, verdict
from wse_sim.spec.load import ModelLike, as_preset, canonical
from wse_sim.spec.ranges import check_number
from wse_sim.spec.written import (
    SECONDS,
    parse_amount,
    parse_count,
    parse_densities,
    parse_numbers,
    parse_whole_numbers,
)
from wse_sim.units import J_PER_KWH

if TYPE_CHECKING:
    from pandas import DataFrame

_AMOUNTS = {  # units of a limit, and its field
    # A bare number would be seconds, as elsewhere, in which nobody counts the days of a run.
    "deadline": (SECONDS, "deadline_s"),
    "max_power": ({"W": 1.0, "kW": 1e3, "MW": 1e6}, "max_power_w"),
    "max_energy": ({"kWh": J_PER_KWH, "MWh": 1e3 * J_PER_KWH, "GWh": 1e6 * J_PER_KWH}, "max_energy_j"),
    "max_carbon": ({"kg": 1.0, "t": 1e3, "kt": 1e6}, "max_carbon_kg"),
}


class PlanResult(Plan, frozen=True, kw_only=True, eq=False):
    """What to book; `wse-sim explain FIELD` says what each field is.

    Parameters
    ----------
    search :
        All candidates, and what came of them.
    """

    search: Search

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim plan --json` prints."""
        return plain({name: getattr(self, name) for name in Plan.__struct_fields__})

    def to_frame(self) -> "DataFrame":
        """A row for each candidate, with what rejected it; units are in the names of the columns.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        columns = candidate_columns(self.search)
        return frame(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanResult) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"<{self.model}: {_verdict(self.to_dict())}>"

    def _repr_html_(self) -> str:
        content = self.to_dict()
        said = paragraph(_verdict(content))
        if not content["front"]:
            return said
        front = front_section(content)
        return said + table_html(front.title, front.header, front.rows, front.right)


@asks(PlanParameters, defaults.PLAN)
def plan(model: ModelLike, **options: Unpack[PlanParameters]) -> PlanResult:
    """Say what to book for a model: the smallest, cheapest or best run within limits.

    Parameters
    ----------
    model :
        As in `simulate`.
    options :
        The options of `wse-sim plan`, by the same names; axes take one value, several, or a text such as "1,2,4".

    Raises
    ------
    SpecError
        When the input is wrong, or there are no candidates. That nothing keeps to the limits is no error: `best` is
        None then, and `nearest_miss` what comes nearest.
    """
    return planned(model, dict(options))


def planned(model: ModelLike, given: dict[str, Any], watch: Watch = UNWATCHED) -> PlanResult:
    """What `plan` does, and `watch` hears how far it is."""
    shape, seq_len = as_preset(model).shape, read_whole("seq_len", given.pop("seq_len"))
    question = Question(
        shape=shape,
        seq_len=shape.seq_len if seq_len is None else seq_len,
        release=given.pop("release").lower(),
        seed=read_whole("seed", given.pop("seed")) or 0,
        economics=economics_of(given),
        operations=operations_of(given),
    )
    found = search(question, _space(given), _constraints(given), objective=given["minimise"], watch=watch)
    return PlanResult(**asdict(plan_of(found)), search=found)


def _verdict(content: dict[str, Any]) -> str:
    return in_keywords(verdict(content), by_option(PlanParameters.__annotations__))


def _constraints(given: dict[str, Any]) -> Constraints:
    limits: dict[str, Any] = {
        field: parse_amount(str(given[name]), f"--{name.replace('_', '-')}", units)
        for name, (units, field) in _AMOUNTS.items()
        if given[name] is not None
    }
    cost = given["max_cost"]
    return Constraints(
        **limits,
        max_cost_usd=None if cost is None else parse_count(str(cost).removeprefix("$"), "--max-cost"),
        target_loss=read_number("target_loss", given["target_loss"]),
        max_csx=read_whole("max_csx", given["max_csx"]),
    )


def _space(given: dict[str, Any]) -> Space:
    texts = {
        name: as_text(given[name])
        for name in ("system", "num_csx", "batch_size", "microbatch", "density", "sparsity", "schedule", "tpp")
    }
    axes: dict[str, Any] = {"systems": tuple(dict.fromkeys(map(canonical, _words(texts["system"] or ""))))}
    for name, field in (("num_csx", "num_csx"), ("batch_size", "batch_sizes"), ("microbatch", "microbatches")):
        if (text := texts[name]) is not None:
            axes[field] = tuple(dict.fromkeys(parse_whole_numbers(text, name)))
    if texts["density"] is not None or texts["sparsity"] is not None:
        axes["densities"] = tuple(parse_densities(texts["density"], texts["sparsity"]))
    if (text := texts["schedule"]) is not None:
        axes["schedules"] = tuple(_words(text))
    if (text := texts["tpp"]) is not None:
        axes["tokens_per_parameter"] = tuple(parse_numbers(text, "tpp"))
        for tpp in axes["tokens_per_parameter"]:
            check_number("tokens_per_parameter", tpp, "tpp")
    return Space(**axes)


def _words(text: str) -> dict[str, None]:
    """Those with commas between them, each once, in order."""
    return dict.fromkeys(word.strip() for word in text.split(","))
