"""What the frontier's losses and machines come to: who wins at equal time, at equal energy, at equal loss."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from training.claims.claim import Finding, Setting, Table
from training.claims.frontier_figure import panels
from training.claims.frontier_ways import (
    Cost,
    Losses,
    Machine,
    Way,
    common_costs,
    common_loss,
    cost_ratio,
    find_way,
    loss_excess,
    ways_on,
)
from training.claims.interval import Interval, over_seeds
from training.claims.judgement import Check, concluded, is_within
from training.config import TrainConfig
from wse_sim.units import S_PER_DAY, S_PER_HOUR
from wse_sim.workload.transformer import n_parameters

_NOTHING: Final = "–"
_UNITS: dict[Cost, tuple[float, str]] = {"days": (1.0, "days"), "joules": (1e6 * S_PER_HOUR, "MWh")}
Pair = tuple[Way, Way]


def answer(losses: Losses, machines: Sequence[Machine], config: TrainConfig, setting: Setting) -> Finding:
    """The finding.

    Parameters
    ----------
    machines :
        The wafers, and the GPUs.
    config :
        Of one of the runs: what all have in common.
    """
    on_wafers, on_gpus = (ways_on(machine, losses) for machine in machines)
    sparse_pairs = [_against_dense(ways) for ways in (on_wafers, on_gpus)]
    return concluded(
        setting,
        _checks(*sparse_pairs),
        setup=_setup(machines, config, losses),
        tables=(
            _loss_table(on_wafers),
            _machine_table(machines, on_wafers),
            _equal_cost_table(on_wafers),
            _equal_cost_table(on_gpus),
            _equal_loss_table(on_wafers, on_gpus),
            _wafer_gpu_table(on_wafers, on_gpus),
        ),
        panels=panels(on_wafers, on_gpus),
        remarks=[_who_wins(pairs) for pairs in sparse_pairs],
    )


def _against_dense(ways: Sequence[Way]) -> list[Pair]:
    """Each sparse way and the dense one of its schedule."""
    dense = max(way.density for way in ways)
    return [(way, find_way(ways, dense, way.schedule)) for way in ways if way.density < dense]


def _against_schedule(ways: Sequence[Way]) -> list[Pair]:
    """For each density, the first schedule and each of the others."""
    first = ways[0].schedule
    return [(find_way(ways, way.density, first), way) for way in ways if way.schedule != first]


def _checks(on_wafers: Sequence[Pair], on_gpus: Sequence[Pair]) -> list[Check]:
    lower = {name: [_is_lower(pair) for pair in pairs] for name, pairs in (("wafer", on_wafers), ("gpu", on_gpus))}
    wins, gpu_wins = (_any(lower[name]) for name in ("wafer", "gpu"))
    return [
        Check(f"some sparse model beats the dense one at equal time on {on_wafers[0][0].machine}", wins),
        Check(f"none does on {on_gpus[0][0].machine}", None if gpu_wins is None else not gpu_wins),
    ]


def _is_lower(pair: Pair) -> bool | None:
    """Whether the first of a pair has the lower loss at the longest time that both have."""
    times = common_costs(*pair, "days")
    if times is None:
        return None
    if not np.isfinite(pair[0].loss_at("days", times[1])).all():
        return False  # it diverged
    return is_within(loss_excess(*pair, "days", times[1]), high=0.0)


def _any(answers: Sequence[bool | None]) -> bool | None:
    if any(answers):
        return True
    return None if None in answers else False


def _who_wins(pairs: Sequence[Pair]) -> str:
    """A sentence: at which densities sparsity pays, and at which it does not."""
    groups: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for pair in pairs:
        groups[_is_lower(pair)].append(f"{pair[0].density:g} ({pair[0].schedule})")
    words = {True: "lower", False: "higher", None: "not told apart"}
    said = "; ".join(f"{words[holds]} at density {', '.join(names)}" for holds, names in groups.items() if names)
    return f"On {pairs[0][0].machine}, at the longest time that both have, the loss against the dense model is {said}."


def _setup(machines: Sequence[Machine], config: TrainConfig, losses: Losses) -> tuple[str, ...]:
    shape = config.shape
    n_seeds = len(next(iter(losses.values())))
    live = min(density for density, _, _ in losses) * shape.d_model
    assumed = "; ".join(f"{machine.name}: {', '.join(machine.assumed)}" for machine in machines)
    return (
        f"Measured: the loss of a proxy of Cerebras-GPT 2.7B, {shape.n_layers} layers of width {shape.d_model} "
        f"({n_parameters(shape):,} parameters), on bytes of the Python standard library's sources, {n_seeds} "
        f"seed(s); {config.parametrization}, base learning rate {config.base.peak_lr:g} for all, batches of "
        f"{config.batch_size} x {config.seq_len}, warm-up {config.warmup}, weight decay {config.weight_decay:g} at "
        "the same memory for all.",
        "Masks are random and static. Tokens per parameter (TPP) count all parameters, zeros too: every density "
        "sees the same text at the same TPP.",
        f"Simulated: the time and the energy of the full-size run at the same TPP, on {machines[0].name} and on "
        f"{machines[1].name}; the power of a machine is constant, so that on one machine equal energy is equal time.",
        f"At the lowest density a neuron of the proxy has {live:g} live weights in its attention layers, where the "
        "full-size model would have hundreds: sparsity costs the proxy more than it need cost the full size.",
        "Both schedules train at the same base learning rate, not at each one's best. Between measured lengths the "
        "loss is taken as linear in the logarithm of time. Differences are taken seed by seed.",
        f"Constants that are assumed in the simulated times: {assumed}.",
    )


def _loss_table(ways: Sequence[Way]) -> Table:
    rows = tuple(
        (f"{way.density:g}", way.schedule, *(over_seeds(list(way.losses[:, k])).text() for k in range(len(way.tpps))))
        for way in ways
    )
    columns = ("density", "schedule", *(f"{tpp:g} TPP" for tpp in ways[0].tpps))
    return Table("Measured: held-out loss of the proxy, nats per byte", columns, rows)


def _machine_table(machines: Sequence[Machine], ways: Sequence[Way]) -> Table:
    tpp, densities = ways[0].tpps[-1], dict.fromkeys(way.density for way in ways)
    dense = max(densities)
    rows = []
    for density in densities:
        cells = [f"{density:g}"]
        for machine in machines:
            seconds = machine.s_per_tpp[density] * tpp
            faster = machine.s_per_tpp[dense] / machine.s_per_tpp[density]
            mwh = seconds * machine.power_w / _UNITS["joules"][0]
            cells += [f"{seconds / S_PER_DAY:.3f} ({faster:.2f} x)", f"{mwh:.2f}"]
        rows.append(tuple(cells))
    columns = ["density"]
    for machine in machines:
        columns += [f"days on {machine.name} (times faster)", "MWh"]
    return Table(f"Simulated: Cerebras-GPT 2.7B at {tpp:g} TPP", tuple(columns), tuple(rows))


def _equal_cost_table(ways: Sequence[Way]) -> Table:
    columns = ("this", "against", "at the shortest common time", "at the longest", "lower loss there")
    rows = tuple(_equal_cost_row(pair) for pair in (*_against_dense(ways), *_against_schedule(ways)))
    return Table(
        f"At equal time, and so equal energy, on {ways[0].machine}: loss over that of the other", columns, rows
    )


def _equal_cost_row(pair: Pair) -> tuple[str, ...]:
    times = common_costs(*pair, "days")
    names = tuple(map(_name, pair))
    if times is None:
        return (*names, "none in common", "none in common", _NOTHING)
    short, long = (loss_excess(*pair, "days", days) for days in times)
    shown = tuple(f"{_percent(found)} at {days:.3g} days" for found, days in zip((short, long), times, strict=True))
    return (*names, *shown, _lower(pair, long))


def _equal_loss_table(on_wafers: Sequence[Way], on_gpus: Sequence[Way]) -> Table:
    columns = ("this", "against", "loss", f"time on {on_wafers[0].machine}", f"time on {on_gpus[0].machine}")
    pairs = zip(
        (*_against_dense(on_wafers), *_against_schedule(on_wafers)),
        (*_against_dense(on_gpus), *_against_schedule(on_gpus)),
        strict=True,
    )
    rows = tuple(
        (*map(_name, on_wafer), _loss(common_loss(*on_wafer)), _ratio(on_wafer, "days"), _ratio(on_gpu, "days"))
        for on_wafer, on_gpu in pairs
    )
    return Table("At the lowest loss that both reached: times the time (and energy) of the other", columns, rows)


def _wafer_gpu_table(on_wafers: Sequence[Way], on_gpus: Sequence[Way]) -> Table:
    dense = max(way.density for way in on_gpus)
    pairs = [(way, find_way(on_gpus, dense, way.schedule)) for way in on_wafers]
    columns = ("this", "against", "loss at equal time", "loss at equal energy", "time to equal loss", "energy to it")
    rows = tuple(
        (
            *(f"{_name(way)}, {way.machine}" for way in pair),
            *(_excess_at_longest(pair, cost) for cost in _UNITS),
            *(_ratio(pair, cost) for cost in _UNITS),
        )
        for pair in pairs
    )
    return Table("Wafers at any density against dense on GPUs", columns, rows)


def _excess_at_longest(pair: Pair, cost: Cost) -> str:
    costs = common_costs(*pair, cost)
    if costs is None:
        return "none in common"
    factor, unit = _UNITS[cost]
    return f"{_percent(loss_excess(*pair, cost, costs[1]))} at {costs[1] / factor:.3g} {unit}"


def _ratio(pair: Pair, cost: Cost) -> str:
    loss = common_loss(*pair)
    if loss is None:
        return _NOTHING
    mean, low, high = cost_ratio(*pair, cost, loss)
    return f"{mean:.2f} x" if pair[0].losses.shape[0] == 1 else f"{mean:.2f} x ({low:.2f} to {high:.2f})"


def _lower(pair: Pair, excess: Interval) -> str:
    if is_within(excess, high=0.0):
        return _name(pair[0])
    return _name(pair[1]) if is_within(excess, low=0.0) else "not told apart"


def _name(way: Way) -> str:
    return f"{way.density:g} {way.schedule}"


def _loss(loss: float | None) -> str:
    return _NOTHING if loss is None else f"{loss:.4f}"


def _percent(found: Interval) -> str:
    if math.isnan(found.mean):
        return "diverged"
    return f"{found.mean:+.2f} ± {found.half:.2f} %" if math.isfinite(found.half) else f"{found.mean:+.2f} %"
