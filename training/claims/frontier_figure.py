"""The frontier's figure: a row for each schedule; loss against wafer time, GPU time, and energy."""

from collections.abc import Sequence

from training.claims.frontier_ways import Cost, Way
from training.claims.interval import over_seeds
from wse_sim.report.curves import Curve, Panel
from wse_sim.units import S_PER_HOUR

_J_PER_MWH = 1e6 * S_PER_HOUR


def panels(on_wafers: Sequence[Way], on_gpus: Sequence[Way]) -> list[Panel]:
    """Time on each machine with all densities; energy of all densities on wafers and of the dense model on GPUs."""
    dense = max(way.density for way in on_gpus)
    found = []
    for schedule in dict.fromkeys(way.schedule for way in on_wafers):
        wafer, gpu = ([way for way in ways if way.schedule == schedule] for ways in (on_wafers, on_gpus))
        energy = [_curve(way, "joules", f"density {way.density:g}") for way in wafer]
        energy += [_curve(way, "joules", f"density {dense:g} on {way.machine}") for way in gpu if way.density == dense]
        for machine in (wafer, gpu):
            curves = [_curve(way, "days", f"density {way.density:g}") for way in machine]
            found.append(_panel(f"{schedule}, {machine[0].machine}", "days of the full-size run, simulated", curves))
        found.append(_panel(f"{schedule}, energy", "MWh of the full-size run, simulated", energy))
    return found


def _panel(title: str, x_label: str, curves: Sequence[Curve]) -> Panel:
    y_label = "loss of the proxy, measured, nats per byte"
    return Panel(title=title, x_label=x_label, y_label=y_label, curves=curves, x_scale="log10")


def _curve(way: Way, cost: Cost, label: str) -> Curve:
    losses = [over_seeds(list(of_length)) for of_length in way.losses.T]
    has_interval = way.losses.shape[0] > 1
    unit = _J_PER_MWH if cost == "joules" else 1.0
    return Curve(
        label=label,
        x=list(way.costs[cost] / unit),
        y=[loss.mean for loss in losses],
        low=[loss.low for loss in losses] if has_interval else None,
        high=[loss.high for loss in losses] if has_interval else None,
        is_marked=True,
    )
