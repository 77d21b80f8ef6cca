"""The lines of a run's ten-second table: what was measured, simulated and projected, in words and human units."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from wse_sim.laws.cerebras_gpt import outside_in_words
from wse_sim.report.quantities import carbon, count, duration, energy, factor, money, of_density, percent, significant
from wse_sim.spec.cluster import SYSTEMS
from wse_sim.spec.load import data_names
from wse_sim.units import S_PER_HOUR

Kind = Literal["measured", "simulated", "projected"]
Table = Mapping[str, Any]
PARALLEL_WAYS = ("dp", "tp", "cp", "pp")  # of a layout of GPUs, as people list them


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure, or two that belong together.

    Parameters
    ----------
    group :
        The heading that it stands under.
    note :
        Range, comparison or what it is made of; "" for none.
    """

    group: str
    kind: Kind
    name: str
    value: str
    note: str = ""


def headline(summary: Table) -> list[Line]:
    """The lines of the ten-second table, in reading order; parts that the summary lacks are left out."""
    lines: list[Line] = []
    if "measured" in summary:
        lines += _trained_here(summary["measured"])
    if "simulated" in summary:
        lines += _on_wafer(summary["simulated"])
    if "simulated_gpu" in summary:
        lines += _on_gpus(summary["simulated_gpu"], summary.get("simulated"))
    if "projected" in summary:
        lines += _loss(summary["projected"])
    return lines


def title(summary: Table) -> str:
    """The run in one line: model, density, cluster."""
    target, simulated = summary.get("target", {}), summary.get("simulated", {})
    text = str(target.get("model") or simulated.get("model") or "run")
    density = target.get("density", simulated.get("density"))
    if density is not None:
        text += of_density(density)
    if target.get("sparsity_algorithm", "static") not in ("dense", "static"):
        text += f", masks by {target['sparsity_algorithm']},"
    if "num_csx" in simulated:
        text += f" on {cluster(simulated)}"
    return text


def cluster(simulated: Table) -> str:
    """The systems of a simulation: 4 × CS-2."""
    return f"{simulated['num_csx']} × {system_in_words(simulated['system'])}"


def system_in_words(name: str) -> str:
    """CS-2 for the data's cs2; a user's own system keeps its name."""
    return name.upper().replace("CS", "CS-") if name in SYSTEMS else name


def gpu_in_words(name: str) -> str:
    """H100 for the data's h100; a user's own GPU keeps its name."""
    return name.upper() if name in data_names("gpus") else name


def simulation_lines(simulated: Table) -> Iterator[Line]:
    """What the step and the run of a simulation are, without a group."""
    low, high = simulated["tokens_per_s_low"], simulated["tokens_per_s_high"]

    def line(name: str, value: str, note: str = "") -> Line:
        return Line(group="", kind="simulated", name=name, value=value, note=note)

    yield line("step", duration(simulated["step_time_s"]), f"{significant(simulated['samples_per_s'])} sequences/s")
    yield line("tokens/s", significant(simulated["tokens_per_s"]), f"{significant(low)} … {significant(high)}")
    yield line("MFU", percent(simulated["mfu"]), f"{percent(simulated['dense_equivalent_mfu'])} dense-equivalent")
    yield line("bottleneck", simulated["bottleneck"], f"{percent(max(simulated['breakdown'].values()))} of the step")
    if simulated["density"] < 1:
        ideal = f"{factor(simulated['ideal_speedup'])} if time fell as FLOPs do"
        yield line("speed-up over dense", factor(simulated["speedup_vs_dense"]), ideal)
    steps = f"{int(simulated['n_steps']):,} steps, {count(simulated['tokens'])} tokens"
    yield line("whole run", duration(simulated["run_time_s"]), steps)
    if "wall_clock_s" in simulated:
        yield line("wall clock", duration(simulated["wall_clock_s"]), _wall_clock_note(simulated))
    if "checkpoint_steps" in simulated:
        yield line("goodput", percent(simulated["goodput"]), _operation(simulated))
    if "carbon_kg" not in simulated:  # of an older version
        yield line("energy", energy(simulated["energy_j"]))
        yield line("cost", money(simulated["cost_usd"]))
        return
    yield line("energy", energy(simulated["energy_j"]), _energy_note(simulated))
    of_grid = f"at {simulated['kg_per_kwh']:g} kg/kWh ({simulated['grid']}), PUE {simulated['pue']:g}"
    yield line("carbon", carbon(simulated["carbon_kg"]), of_grid)
    yield line("cost", money(simulated["cost_usd"]), _cost_note(simulated))


def _wall_clock_note(simulated: Table) -> str:
    """Its two ranges: that of the constants, as the throughput has it, and that of the failures."""
    at_s, rate = simulated["wall_clock_s"], simulated["tokens_per_s"]
    fastest, slowest = (duration(at_s * rate / simulated[f"tokens_per_s_{end}"]) for end in ("high", "low"))
    low, high = (duration(simulated[f"wall_clock_{end}_s"]) for end in ("p5", "p95"))
    failures = f"; failures alone {low} … {high}" if low != high else ""
    return (f"{fastest} … {slowest}; " if fastest != slowest else "") + f"with start, checkpoints, failures{failures}"


def _energy_note(simulated: Table) -> str:
    low_j, at_j, high_j = (simulated[name] for name in ("energy_j_low", "energy_j", "energy_j_high"))
    at_least = f", at least {energy(low_j)}" if low_j < at_j else ""
    return f"systems alone{at_least}; with their servers up to {energy(high_j)}" if high_j > at_j else ""


def _cost_note(simulated: Table) -> str:
    parts = simulated["cost_parts_usd"]
    if simulated["price_basis"] == "rental":
        system_hours = simulated["run_time_s"] / S_PER_HOUR * simulated["num_csx"]
        note = f"rental at {money(simulated['cost_usd'] / system_hours)} per system and hour"
    else:
        note = "purchase: " + ", ".join(f"{name} {money(usd)}" for name, usd in parts.items())
    dated = f"; price of {simulated['price_as_of']}" if simulated["price_as_of"] else ""
    booked = ""
    if "wall_clock_s" in simulated:  # rented, it is paid for while it starts, saves and restarts too
        booked_usd = simulated["cost_usd"] * simulated["wall_clock_s"] / simulated["run_time_s"]
        booked = f"of the steps; of the wall clock {money(booked_usd)}; "
    return f"{booked}{note}{dated}"


def loss_unit(loss: float, bits_per_byte: float | None) -> str:
    """Of a measured loss: where a token is a byte, it says so, lest it be compared with a loss per longer token."""
    is_byte = bits_per_byte is not None and math.isclose(loss, bits_per_byte * math.log(2), rel_tol=1e-6)
    return "nats/byte" if is_byte else "nats/token"


def unit_of_losses(losses: Iterable[Sequence[Any]]) -> str:
    """Of measured losses, each with its bits per byte: nats where they differ in it.

    Parameters
    ----------
    losses :
        None or NaN where nothing was measured.
    """
    known = ((loss, bits) for loss, bits in losses if loss is not None and not math.isnan(loss))
    units = {loss_unit(loss, bits) for loss, bits in known}
    return units.pop() if len(units) == 1 else "nats"


def _operation(simulated: Table) -> str:
    """How often the run is saved, and how often it fails."""
    is_saved_once = simulated["checkpoint_steps"] >= round(simulated["n_steps"])
    saved = "at the end" if is_saved_once else f"every {duration(simulated['checkpoint_interval_s'])}"
    n_failures = simulated["n_failures_expected"]
    return f"checkpoint {saved}, {significant(n_failures, 2) if n_failures else 'no'} failures expected"


def _trained_here(measured: Table) -> Iterator[Line]:
    def line(name: str, value: str, note: str = "") -> Line:
        return Line(group="Trained here", kind="measured", name=name, value=value, note=note)

    if "params" in measured:
        nonzero = measured.get("nonzero_params", measured["params"])
        notes = [f"{count(nonzero)} non-zero"] if nonzero != measured["params"] else []
        if "d_model" in measured:
            notes.append(f"{measured['n_layers']} layers × {measured['d_model']} wide")
        yield line("model", f"{count(measured['params'])} parameters", ", ".join(notes))
    train, validation, bits = (measured.get(key) for key in ("train_loss", "val_loss", "bits_per_byte"))
    if validation is not None:
        notes = [f"{train:.3f} on the last training batch"] if train is not None else []
        if (floor := measured.get("entropy_nats")) is not None:
            notes.append(f"{floor:.3f} is the entropy of the source")
        yield line("validation loss", f"{validation:.3f} {loss_unit(validation, bits)}", ", ".join(notes))
    elif train is not None:
        yield line("training loss", f"{train:.3f} {loss_unit(train, bits)}")
    if bits is not None:
        yield line("bits per byte", f"{bits:.3f}")
    if "host_s" in measured:
        note = f"{measured['steps']:,} steps, {count(measured['tokens'])} tokens" if "steps" in measured else ""
        rate = f", {significant(measured['tokens_per_s'])} tokens/s" if "tokens_per_s" in measured else ""
        yield line("time on this machine", duration(measured["host_s"]), note + rate)


def _on_wafer(simulated: Table) -> Iterator[Line]:
    group = f"Full-size run on {cluster(simulated)}"
    yield from (replace(line, group=group) for line in simulation_lines(simulated))


def _on_gpus(gpu: Table, wafer: Table | None) -> Iterator[Line]:
    group = f"The same run on {gpu['num_gpus']} × {gpu_in_words(gpu['gpu'])}"

    def line(name: str, value: str, note: str = "") -> Line:
        return Line(group=group, kind="simulated", name=name, value=value, note=note)

    if "software" in gpu:
        is_sparse = wafer is not None and wafer.get("density", 1) < 1
        dense = "dense: single zeros save GPUs nothing" if is_sparse else ""
        yield line("program", f"{gpu['software']}, {gpu['precision']}", dense)
    ways = (f"{name} {gpu[name]}" for name in PARALLEL_WAYS if gpu.get(name, 1) > 1 or name == "dp")
    layout = f"layout {', '.join(ways)}" if "dp" in gpu else ""
    yield line("tokens/s", significant(gpu["tokens_per_s"]), layout)
    ratio = f"{factor(gpu['run_time_s'] / wafer['run_time_s'])} as long as on the wafers" if wafer else ""
    yield line("whole run", duration(gpu["run_time_s"]), ratio)
    yield line("energy", energy(gpu["energy_j"]), "whole servers, as at the upper end of the wafers'" if wafer else "")
    yield line("cost", money(gpu["cost_usd"]))


def _loss(projected: Table) -> Iterator[Line]:
    flops = projected.get("effective_flops")

    def line(name: str, value: float, low: float, high: float, law: str) -> Line:
        outside = "" if flops is None else outside_in_words(value, flops)
        return Line(
            group="Full-size loss on the Pile",
            kind="projected",
            name=name,
            value="outside of the law" if outside else f"{value:.3f} nats/token",
            note=outside or f"{low:.3f} … {high:.3f}" + (f"; {law}" if law else ""),
        )

    dense = projected.get("dense_value")
    is_sparse = dense is not None and dense != projected["value"]
    name = "at this density" if is_sparse else "loss"
    yield line(name, projected["value"], projected["low"], projected["high"], str(projected.get("law", "")))
    if is_sparse and dense is not None:
        yield line("dense", dense, projected["dense_low"], projected["dense_high"], "")
