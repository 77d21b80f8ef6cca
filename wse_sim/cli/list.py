"""`wse-sim list`: the models, systems, GPUs, their programs and software releases that the data hold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables
from wse_sim.errors import SpecError

WHAT = ("models", "systems", "gpus", "gpu-software", "releases")

_OWN = ("systems", "gpus", "gpu-software")  # of which a user may have files

# The tables are as wide as a terminal without them.
_ONLY_IN_JSON = {
    "models": ("vocab_size",),
    "gpus": ("memory_bytes_per_s", "server_w_per_gpu"),
    "gpu-software": ("source",),
}


class ModelRow(TypedDict):
    """A preset: its shape, and the batch, steps and systems of its published recipe."""

    name: str
    params: int
    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    seq_len: int
    vocab_size: int
    batch_size: int | None
    n_steps: int | None
    num_csx: int | None


class SystemRow(TypedDict):
    """A kind of wafer-scale system."""

    name: str
    cores: int
    peak_flops_per_s: float
    sram_bytes: float
    io_bytes_per_s: float
    power_w: float
    max_systems: int


class GpuRow(TypedDict):
    """A kind of GPU."""

    name: str
    peak_flops_per_s: float
    fp8_peak_flops_per_s: float | None
    memory_bytes: float
    memory_bytes_per_s: float
    tdp_w: int
    server_w_per_gpu: float
    price_usd_per_h: float
    as_of: str | None


class SoftwareRow(TypedDict):
    """A program that trains on GPUs."""

    name: str
    description: str
    fp8: bool
    parallel: str
    sharding: str
    source: str


class ReleaseRow(TypedDict):
    """A software release, and its factor on the rate of computation."""

    name: str
    factor: float
    kind: str
    source: str


Listed = TypedDict(
    "Listed",
    {
        "models": list[ModelRow],
        "systems": list[SystemRow],
        "gpus": list[GpuRow],
        "gpu-software": list[SoftwareRow],
        "releases": list[ReleaseRow],
    },
    total=False,
)
Listed.__doc__ = "What the data hold; one of the lists alone where it was asked for."


@click.command("list")
@click.argument("what", required=False, type=click.Choice(WHAT))
@click.argument("files", nargs=-1, metavar="[FILE.toml]...")
@json_option
def command(*, what: str | None, files: tuple[str, ...], as_json: bool) -> None:
    """List models, systems, GPUs, their programs and software releases; all of them without an argument.

    FILEs are your own systems, GPUs or programs (wse-sim calibrate writes such), which follow those of the data.
    """
    if files and what not in _OWN:
        raise SpecError(f"files follow one of {', '.join(_OWN)}: say which of these {files[0]} is")
    rows_of: dict[str, Callable[[], Sequence[Mapping[str, Any]]]] = {
        "models": _models,
        "systems": lambda: _systems(files),
        "gpus": lambda: _gpus(files),
        "gpu-software": lambda: _software(files),
        "releases": _releases,
    }
    content = {name: rows_of[name]() for name in ([what] if what else WHAT)}
    if as_json:
        print_json(content)
        return
    from wse_sim.report.tables import plain_table

    for index, (name, rows) in enumerate(content.items()):
        if index:
            print_tables("")
        keys = tuple(key for key in rows[0] if key not in _ONLY_IN_JSON.get(name, ()))
        cells = [tuple(_shown(key, row[key]) for key in keys) for row in rows]
        right = tuple(key for key in keys if not isinstance(rows[0][key], str | bool))
        print_tables(plain_table(keys, cells, title=name, right=right))


def _models() -> list[ModelRow]:
    from wse_sim.spec.load import load_model, model_names
    from wse_sim.workload.transformer import n_parameters

    rows: list[ModelRow] = []
    for preset in sorted(map(load_model, model_names()), key=lambda preset: n_parameters(preset.shape)):
        shape, recipe = preset.shape, preset.recipe
        rows.append(
            {
                "name": shape.name,
                "params": n_parameters(shape),
                "n_layers": shape.n_layers,
                "d_model": shape.d_model,
                "n_heads": shape.n_heads,
                "d_ff": shape.d_ff,
                "seq_len": shape.seq_len,
                "vocab_size": shape.vocab_size,
                "batch_size": recipe.batch_size if recipe else None,
                "n_steps": recipe.n_steps if recipe else None,
                "num_csx": recipe.num_csx if recipe else None,
            }
        )
    return rows


def _systems(files: tuple[str, ...]) -> list[SystemRow]:
    from wse_sim.spec.cluster import SYSTEMS, load_cluster

    rows: list[SystemRow] = []
    for name in (*SYSTEMS, *files):
        csx = load_cluster(name, 1).csx
        rows.append(
            {
                "name": csx.name,
                "cores": int(csx.cores),
                "peak_flops_per_s": csx.peak_flops_per_s,
                "sram_bytes": csx.sram_bytes,
                "io_bytes_per_s": csx.io_bytes_per_s,
                "power_w": csx.power_w,
                "max_systems": int(csx.max_systems),
            }
        )
    return rows


def _gpus(files: tuple[str, ...]) -> list[GpuRow]:
    from wse_sim.gpu.spec import gpu_names, load_gpu

    rows: list[GpuRow] = []
    for gpu in map(load_gpu, (*gpu_names(), *files)):
        fp8, price = gpu.fp8_peak_flops_per_s, gpu.price_usd_per_h
        rows.append(
            {
                "name": gpu.name,
                "peak_flops_per_s": gpu.peak_flops_per_s.value,
                "fp8_peak_flops_per_s": fp8.value if fp8 else None,
                "memory_bytes": gpu.memory_bytes.value,
                "memory_bytes_per_s": gpu.memory_bytes_per_s.value,
                "tdp_w": int(gpu.tdp_w.value),
                "server_w_per_gpu": gpu.server_w_per_gpu.value,
                "price_usd_per_h": price.value,
                "as_of": price.as_of,
            }
        )
    return rows


def _software(files: tuple[str, ...]) -> list[SoftwareRow]:
    from wse_sim.gpu.spec import load_software, software_names

    return [
        {
            "name": program.name,
            "description": program.description,
            "fp8": program.has_fp8,
            "parallel": "tp, cp, pp" if program.has_parallel_layers else "",
            "sharding": ", ".join(program.shardings),
            "source": program.source,
        }
        for program in map(load_software, (*software_names(), *files))
    ]


def _releases() -> list[ReleaseRow]:
    from wse_sim.spec.load import load_release, release_names

    releases = ((name, load_release(name)) for name in release_names())
    return [{"name": name, "factor": r.value, "kind": r.kind, "source": r.source} for name, r in releases]


def _shown(key: str, value: Any) -> str:
    from wse_sim.report.quantities import count

    if value is None:
        return "–"
    if key == "params":
        return count(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
