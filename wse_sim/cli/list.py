"""`wse-sim list`: the models, systems, GPUs and software releases that the data hold."""

from typing import Any

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables

WHAT = ("models", "systems", "gpus", "releases")

_ONLY_IN_JSON = ("vocab_size",)  # the table of models is as wide as a terminal without it

Row = dict[str, Any]


@click.command("list")
@click.argument("what", required=False, type=click.Choice(WHAT))
@json_option
def command(*, what: str | None, as_json: bool) -> None:
    """List models, systems, GPUs and software releases; all of them without an argument."""
    rows_of = {"models": _models, "systems": _systems, "gpus": _gpus, "releases": _releases}
    content = {name: rows_of[name]() for name in ([what] if what else WHAT)}
    if as_json:
        print_json(content)
        return
    from wse_sim.report.tables import plain_table

    for index, (name, rows) in enumerate(content.items()):
        if index:
            print_tables("")
        keys = tuple(key for key in rows[0] if key not in _ONLY_IN_JSON)
        cells = [tuple(_shown(key, row[key]) for key in keys) for row in rows]
        right = tuple(key for key in keys if not isinstance(rows[0][key], str))
        print_tables(plain_table(keys, cells, title=name, right=right))


def _models() -> list[Row]:
    from wse_sim.spec.load import load_model, model_names
    from wse_sim.workload.transformer import n_parameters

    rows = []
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


def _systems() -> list[Row]:
    from wse_sim.spec.cluster import SYSTEMS, load_cluster

    rows = []
    for name in SYSTEMS:
        csx = load_cluster(name, 1).csx
        rows.append(
            {
                "name": name,
                "cores": int(csx.cores),
                "peak_flops_per_s": csx.peak_flops_per_s,
                "sram_bytes": csx.sram_bytes,
                "io_bytes_per_s": csx.io_bytes_per_s,
                "power_w": csx.power_w,
                "max_systems": int(csx.max_systems),
            }
        )
    return rows


def _gpus() -> list[Row]:
    from wse_sim.gpu.spec import gpu_names, load_gpu

    rows = []
    for gpu in map(load_gpu, gpu_names()):
        rows.append(
            {
                "name": gpu.name,
                "peak_flops_per_s": gpu.peak_flops_per_s.value,
                "memory_bytes": gpu.memory_bytes.value,
                "memory_bytes_per_s": gpu.memory_bytes_per_s.value,
                "server_w_per_gpu": gpu.server_w_per_gpu.value,
                "price_usd_per_h": gpu.price_usd_per_h.value,
            }
        )
    return rows


def _releases() -> list[Row]:
    from wse_sim.spec.load import load_release, release_names

    releases = ((name, load_release(name)) for name in release_names())
    return [{"name": name, "factor": r.value, "kind": r.kind, "source": r.source} for name, r in releases]


def _shown(key: str, value: Any) -> str:
    from wse_sim.report.quantities import count

    if value is None:
        return "–"
    if key == "params":
        return count(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
