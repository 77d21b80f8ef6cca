"""A calibrated system, GPU or training program as a file of the form of those in the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from wse_sim import __version__
from wse_sim.calibration.own_fit import Calibration
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import Job
from wse_sim.gpu.spec import TRAINING, check_gpu_constant, gpu_names, software_names
from wse_sim.spec.cluster import SYSTEMS, Cluster, check_constant
from wse_sim.spec.sourced import Sourced

Table = dict[str, Any]

_DIGITS = 5  # of a constant that is written


def own_files(calibration: Calibration, out: Path, date: str) -> dict[Path, str]:
    """Contents by path: the system, or the GPU and, where one of its constants was fitted, the program beside it.

    Parameters
    ----------
    out :
        Of the system or GPU, `*.toml`; what it is called there is its name.
    date :
        Of the calibration, YYYY-MM-DD.

    Raises
    ------
    SpecError
        When the path is no such file, its name one of the data's, or a constant beyond what it can be.
    """
    if out.suffix != ".toml":
        raise SpecError(f"{out}: must end in .toml, so that --system and --gpu know it for a file")
    if out.stem in (*SYSTEMS, *gpu_names(), *software_names()):
        raise SpecError(f"{out}: {out.stem} is the name of one in the data: give yours another")
    constants = _constants(calibration, date)
    base = calibration.runs.base
    check = check_constant if isinstance(base, Cluster) else check_gpu_constant
    for name, constant in constants.items():
        check(name, constant.value)
    if isinstance(base, Cluster):
        tables = {out: _system(base, constants, out.stem)}
    else:
        tables = _gpu_and_software(base, constants, out)
    runs = calibration.runs
    heading = f"# {runs.base_name}, calibrated with {runs.measurements.path} on {date}.\n\n"
    return {path: heading + tomli_w.dumps(table) for path, table in tables.items()}


def _system(base: Cluster, constants: Mapping[str, Sourced], name: str) -> Table:
    parts: dict[str, Table] = {"csx": {}, "memoryx": {}, "swarmx": {}}
    for full_name, constant in {**base.constants, **constants}.items():
        part, _, field = full_name.partition(".")
        parts[part][field] = _plain(constant)
    return {"name": name, **parts.pop("csx"), **parts}


def _gpu_and_software(base: Job, constants: Mapping[str, Sourced], out: Path) -> dict[Path, Table]:
    gpu, software = _plain(base.gpu), _plain(base.software)
    gpu["name"], is_software_changed = out.stem, False
    for full_name, constant in constants.items():
        if full_name.startswith(f"{TRAINING}."):
            gpu.setdefault("training", {})[full_name.removeprefix(f"{TRAINING}.")] = _plain(constant)
        elif full_name.startswith(f"{base.gpu.name}."):
            gpu[full_name.removeprefix(f"{base.gpu.name}.")] = _plain(constant)
        else:
            field, _, key = full_name.removeprefix(f"{base.software.name}.").partition(".")
            software |= {field: {**software[field], key: _plain(constant)} if key else _plain(constant)}
            is_software_changed = True
    if not is_software_changed:
        return {out: gpu}
    beside = out.with_stem(f"{out.stem}-{base.software.name}")
    return {out: gpu, beside: software | {"name": beside.stem}}


def _constants(calibration: Calibration, date: str) -> dict[str, Sourced]:
    """The fitted constants with where they come from."""
    runs, errors = calibration.runs, calibration.errors
    before, after, left_out = (f"{100 * errors[name].mean_abs_error:.1f} %" for name in ("before", "after", "left_out"))
    source = (
        f"fitted to {len(runs.rows)} rows of {Path(runs.measurements.path).name} (sha256 {runs.measurements.sha256}) "
        f"on {date} by wse-sim {__version__}, from {runs.base_name}; mean |error| of the rows {before} before, {after} "
        f"after, {left_out} left out of the fit"
    )
    found = {}
    for name, constant in calibration.fitted.items():
        low, high = constant.low, constant.high
        if low is None or high is None:  # no row is left to say: what was known before, and the value
            ends = (*runs.constants[name].ends, constant.after)
            low, high = min(ends), max(ends)
        value, low, high = (float(f"{number:.{_DIGITS}g}") for number in (constant.after, low, high))
        found[name] = Sourced(
            value=value, low=low, high=high, kind="calibrated", source=source, as_of=date[: len("2000-01")]
        )
    return found


def _plain(value: msgspec.Struct) -> Table:
    """As TOML has it, which has no null."""
    plain: Table = _without_none(msgspec.to_builtins(value))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None and item != {}}
    return value
