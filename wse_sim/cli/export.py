"""`wse-sim export`: a trained run as a folder that stock `transformers` models load."""

from pathlib import Path
from typing import Any

import click

from wse_sim.cli.options import json_option
from wse_sim.cli.output import command_line, print_json, print_tables


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="New folder to write into."
)
@click.option("--checkpoint", "step", type=int, metavar="STEP", help="After which step.  [default: the newest]")
@click.option(
    "--dtype",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of the numbers; fp32 is what the run holds.",
)
@click.option("--sparse", "is_sparse", is_flag=True, help="Keep live weights and masks alone, to be made dense later.")
@json_option
def command(*, run: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Write the model of RUN into a folder that transformers loads: config.json, safetensors, tokenizer, a model card.

    The multipliers of the parameterization are folded into the weights, so that a stock model computes the same logits.
    RUN may also be a folder that was exported with --sparse: it becomes a dense one.

    \b
        wse-sim export runs/mine --out mine
        python -c "import transformers as t; t.AutoModelForCausalLM.from_pretrained('mine')"
    """
    import msgspec

    from training.export import export

    made: dict[str, Any] = msgspec.to_builtins(export(run, out, command=command_line(), **options))
    if as_json:
        print_json(made)
        return
    from wse_sim.report.tables import plain_table

    print_tables(plain_table(("written to", str(out)), list(_rows(made).items())))


def _rows(made: dict[str, Any]) -> dict[str, str]:
    from wse_sim.report.quantities import data_size

    loss, unit = made["val_loss"], "nats/byte" if made["tokenizer"] == "bytes" else "nats/token"
    return {
        "run": f"{made['run']}, step {made['step']:,}",
        "architecture": made["architecture"] + (", output layer untied" if made["is_untied"] else ""),
        "weights": f"{'live ones alone, ' if made['is_sparse'] else ''}{made['dtype']}, {data_size(made['n_bytes'])}",
        "parameters": f"{made['params']:,}, of which {made['nonzero_params']:,} are live",
        "density": f"{made['density']:.6g} of the hidden matrices",
        "tokenizer": made["tokenizer"],
        "held-out loss": "not evaluated at this step" if loss is None else f"{loss:.4f} {unit}, measured",
        "sha256": made["sha256"],
    }
