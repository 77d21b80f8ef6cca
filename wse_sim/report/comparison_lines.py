"""The lines of a comparison: one figure of every way, in human units, with the word for where it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from wse_sim.report.comparison import ClusterWay, Comparison, GpuLayout, GpuWay, HereWay, Ratio, Way, distinct
from wse_sim.report.headline import PARALLEL_WAYS, Kind, cluster, gpu_in_words
from wse_sim.report.quantities import (
    carbon,
    count,
    data_size,
    duration,
    energy,
    factor,
    money,
    of_density,
    percent,
    significant,
)

NOTHING = "–"
_LAYOUT = (*PARALLEL_WAYS, "interleave", "microbatch", "recompute", "sharding")  # fields
LAYOUT_NUMBERS = (*PARALLEL_WAYS, "interleave", "microbatch", "step", "tokens/s each")
_Cell = Callable[[Comparison, str, Way], str]  # of the way with this name


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure of every way, or two that belong together.

    Parameters
    ----------
    group :
        The heading that it stands under.
    kind, here_kind :
        Where the figures of the clusters come from, and where that of the machine at hand does.
    cells :
        By the name of the way's field.
    """

    group: str
    name: str
    kind: Kind
    here_kind: Kind
    cells: dict[str, str]

    @property
    def of_clusters(self) -> list[str]:
        """Without that of the machine at hand."""
        return [cell for name, cell in self.cells.items() if name != "here"]

    @property
    def here(self) -> tuple[str, Kind | Literal[""]] | None:
        """The figure of the machine at hand and its word, which a missing figure does not have; None = not measured."""
        cell = self.cells.get("here")
        return None if cell is None else (cell, "" if cell == NOTHING else self.here_kind)


def title(comparison: Comparison) -> str:
    """What is compared, in a line."""
    wafer, gpu = comparison.wafer, comparison.gpu
    wafers = cluster({"num_csx": wafer.num_csx, "system": wafer.system})
    return (
        f"{comparison.model}{of_density(comparison.density)}: {wafers} beside {gpu.num_gpus} × {gpu_in_words(gpu.gpu)}"
    )


def asked(comparison: Comparison) -> str:
    """How much work it is, in a line."""
    steps = f"{int(comparison.n_steps):,} steps of {comparison.batch_size} × {comparison.seq_len}"
    return f"{count(comparison.params)} parameters · {count(comparison.tokens)} tokens · {steps}"


def shown_ways(comparison: Comparison) -> dict[str, Way]:
    """The ways that have a column: without the masked GPUs, which are the dense ones but for the loss."""
    return distinct({name: way for name, way in comparison.ways.items() if name != "gpu"})


def lines(comparison: Comparison) -> list[Line]:
    """Does it fit, how fast is it, what does it cost, what loss does it buy."""
    ways = shown_ways(comparison)
    found = [
        Line(
            group=group,
            name=name,
            kind=kind,
            here_kind=here_kind,
            cells={field: cell(comparison, field, way) for field, way in ways.items()},
        )
        for group, name, kind, here_kind, cell in _LINES
    ]
    return [line for line in found if set(line.cells.values()) != {NOTHING}]


def ratio_cells(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Name, value and range of each ratio of the wafers over the GPUs."""
    ratios = comparison.ratios
    named: tuple[tuple[str, Ratio | None], ...] = (
        ("tokens/s", ratios.tokens_per_s),
        ("time", ratios.run_time),
        ("wall clock", ratios.wall_clock),
        ("energy" if ratios.carbon is None else "energy and carbon", ratios.energy),
        ("cost", ratios.cost),
    )
    return [
        (name, factor(ratio.value), f"{significant(ratio.low)} … {significant(ratio.high)}")
        for name, ratio in named
        if ratio is not None
    ]


def equal_loss_words(comparison: Comparison) -> str:
    """What the dense model on the GPUs takes to the loss of a sparse run on wafers; "" for a dense run, or no law."""
    dense, wafer = comparison.iso_loss.get("gpu_dense"), comparison.wafer
    if comparison.density == 1 or dense is None:
        return ""
    start = f"Projected, to the loss of the wafers' run: {comparison.gpu_dense.name} "
    if dense.run_time_s is None or dense.energy_j is None or dense.cost_usd is None:
        return f"{start}do not come to it."
    shares = (
        (dense.run_time_s, wafer.run_time_s, "time"),
        (dense.energy_j, wafer.energy_j, "energy"),
        (dense.cost_usd, wafer.cost_usd, "cost"),
    )
    words = [f"{factor(of_gpus / of_wafers)} the {name}" for of_gpus, of_wafers, name in shares if of_wafers]
    return f"{start}take {', '.join(words)}."


def layout_words(way: GpuWay) -> str:
    """How the GPUs share the work, in a line."""
    ways = [f"{name} {getattr(way, name)}" for name in PARALLEL_WAYS if getattr(way, name) > 1]
    groups = [f"{way.interleave} groups of blocks a stage"] if way.interleave > 1 else []
    recompute = "nothing recomputed" if way.recompute == "none" else f"{way.recompute} recomputation"
    sharding = [] if way.sharding == "none" else [way.sharding]
    return ", ".join([*(ways or ["one GPU"]), *groups, f"microbatch {way.microbatch}", recompute, *sharding])


def here_words(way: HereWay) -> str:
    """What the parts of a step ran on here, and how, in a line."""
    threads = f"{way.n_threads} thread" + ("s" if way.n_threads > 1 else "")
    return f"{way.device}, {threads}, {way.precision}, {way.executor} executor, microbatch {way.microbatch}"


def all_notes(comparison: Comparison) -> list[str]:
    """What to know before using it, that of the machine at hand last."""
    here = comparison.here
    return [*comparison.notes, *(f"this machine: {note}" for note in (here.notes if here else ()))]


def layout_cells(layouts: Sequence[GpuLayout]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of layouts that were tried; the last cell says what they need, or what wall they hit."""
    rows = [
        (
            *(str(getattr(layout, name)) for name in _LAYOUT),
            duration(layout.step_time_s),
            significant(layout.tokens_per_s_per_gpu),
            layout.wall or f"fits: {data_size(layout.memory_bytes_per_gpu)}",
        )
        for layout in layouts
    ]
    return (*_LAYOUT, "step", "tokens/s each", "does it fit"), rows


def _fits(comparison: Comparison, name: str, way: Way) -> str:
    return "yes" if way.memory.fits else "no"


def _needed(comparison: Comparison, name: str, way: Way) -> str:
    needed, available = data_size(way.memory.needed_bytes), data_size(way.memory.available_bytes)
    same_unit = needed.split()[-1] == available.split()[-1]
    return f"{needed.split()[0] if same_unit else needed} of {available}"


def _range(comparison: Comparison, name: str, way: Way) -> str:
    return f"{significant(way.tokens_per_s_low)} … {significant(way.tokens_per_s_high)}"


def _hfu(comparison: Comparison, name: str, way: Way) -> str:
    return percent(way.hfu) if isinstance(way, GpuWay) else NOTHING


def _bottleneck(comparison: Comparison, name: str, way: Way) -> str:
    largest = max(way.breakdown, key=lambda part: way.breakdown[part])
    return f"{largest.replace('_', ' ')} {percent(way.breakdown[largest])}"


def _paid(form: Callable[[ClusterWay], str]) -> _Cell:
    return lambda comparison, name, way: form(way) if isinstance(way, ClusterWay) else NOTHING


def _loss(comparison: Comparison, name: str, way: Way) -> str:
    return NOTHING if way.loss is None else f"{way.loss.value:.3f}"


def _loss_range(comparison: Comparison, name: str, way: Way) -> str:
    return NOTHING if way.loss is None else f"{way.loss.low:.3f} … {way.loss.high:.3f}"


def _equal_time(comparison: Comparison, name: str, way: Way) -> str:
    return duration(comparison.wafer.run_time_s) if comparison.iso_time else NOTHING


def _equal_loss(comparison: Comparison, name: str, way: Way) -> str:
    loss = comparison.wafer.loss
    return NOTHING if loss is None else f"{loss.value:.3f}"


def _tokens_in_time(comparison: Comparison, name: str, way: Way) -> str:
    return count(comparison.iso_time[name].tokens) if comparison.iso_time else NOTHING


def _loss_in_time(comparison: Comparison, name: str, way: Way) -> str:
    loss = comparison.iso_time[name].loss if comparison.iso_time else None
    return NOTHING if loss is None else f"{loss.value:.3f}"


def _to_loss(field: str, form: Callable[[float], str]) -> _Cell:
    def cell(comparison: Comparison, name: str, way: Way) -> str:
        value = getattr(comparison.iso_loss[name], field) if comparison.iso_loss else None
        return NOTHING if value is None else form(value)

    return cell


_IN_TIME, _TO_LOSS = "At equal time", "At equal loss"
_LOSS = "loss, nats/token"
_LINES: tuple[tuple[str, str, Kind, Kind, _Cell], ...] = (
    ("Memory", "fits", "simulated", "simulated", _fits),
    ("Memory", "per system or GPU", "simulated", "simulated", _needed),
    ("Speed", "tokens/s", "simulated", "measured", lambda c, n, way: significant(way.tokens_per_s)),
    ("Speed", "tokens/s, range", "simulated", "measured", _range),
    ("Speed", "step", "simulated", "measured", lambda c, n, way: duration(way.step_time_s)),
    ("Speed", "largest part", "simulated", "measured", _bottleneck),
    ("Speed", "MFU", "simulated", "measured", lambda c, n, way: percent(way.mfu)),
    ("Speed", "dense-equiv. MFU", "simulated", "measured", lambda c, n, way: percent(way.dense_equivalent_mfu)),
    ("Speed", "HFU", "simulated", "measured", _hfu),
    ("Run", "time of all steps", "simulated", "projected", lambda c, n, way: duration(way.run_time_s)),
    ("Run", "wall clock", "simulated", "projected", _paid(lambda way: duration(way.wall_clock_s))),
    ("Run", "goodput", "simulated", "projected", _paid(lambda way: percent(way.goodput))),
    ("Run", "energy", "simulated", "projected", _paid(lambda way: energy(way.energy_j))),
    ("Run", "facility energy", "simulated", "projected", _paid(lambda way: energy(way.facility_energy_j))),
    ("Run", "carbon", "simulated", "projected", _paid(lambda way: carbon(way.carbon_kg))),
    ("Run", "cost", "simulated", "projected", _paid(lambda way: money(way.cost_usd))),
    ("Run", _LOSS, "projected", "projected", _loss),
    ("Run", "loss, range", "projected", "projected", _loss_range),
    (_IN_TIME, "time of all steps", "simulated", "simulated", _equal_time),
    (_IN_TIME, "tokens", "projected", "projected", _tokens_in_time),
    (_IN_TIME, _LOSS, "projected", "projected", _loss_in_time),
    (_TO_LOSS, _LOSS, "projected", "projected", _equal_loss),
    (_TO_LOSS, "tokens", "projected", "projected", _to_loss("tokens", count)),
    (_TO_LOSS, "time of all steps", "projected", "projected", _to_loss("run_time_s", duration)),
    (_TO_LOSS, "energy", "projected", "projected", _to_loss("energy_j", energy)),
    (_TO_LOSS, "cost", "projected", "projected", _to_loss("cost_usd", money)),
)
