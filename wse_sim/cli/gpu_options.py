"""The options that say which GPUs, and how they share the work."""

from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import Command
from wse_sim.spec.ranges import check_number

if TYPE_CHECKING:
    from wse_sim.comparison import GpuSide


def gpu_options(command: Command) -> Command:
    """Adds the options, for `gpu_side_from`."""
    options = (
        click.option("--gpu", default="h100", show_default=True, metavar="G", help="Kind of GPU: wse-sim list gpus."),
        click.option(
            "--num-gpus", type=int, metavar="K", help="How many.  [default: whole servers nearest to the wafers' price]"
        ),
        click.option(
            "--gpu-software",
            default="megatron",
            show_default=True,
            metavar="NAME",
            help="Their training program: wse-sim list gpu-software.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["bf16", "fp8"]),
            default="bf16",
            show_default=True,
            help="Of products on the GPUs.",
        ),
        click.option("--two-four", is_flag=True, help="Also 2:4 sparsity, which these GPUs can skip."),
        click.option("--tp", type=int, metavar="N", help="Tensor-parallel ways.  [default, as of what follows: best]"),
        click.option("--cp", type=int, metavar="N", help="Context-parallel ways."),
        click.option("--pp", type=int, metavar="N", help="Pipeline stages."),
        click.option("--interleave", type=int, metavar="N", help="Groups of blocks of each stage."),
        click.option("--microbatch-gpu", type=int, metavar="m", help="Sequences of a copy of the model at a time."),
        click.option(
            "--recompute-gpu", type=click.Choice(["none", "selective", "full"]), help="What going back computes again."
        ),
        click.option(
            "--sharding",
            type=click.Choice(["zero1", "zero3"]),
            help="What the copies share out: zero1 (moments), zero3 (weights and gradients too).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def gpu_side_from(options: dict[str, Any]) -> "GpuSide":
    """The GPUs that the options describe; takes what it needs out of `options`.

    Raises
    ------
    SpecError
        When a part of the layout is below 1.
    """
    from wse_sim.comparison import GpuSide
    from wse_sim.gpu.layout import LAYOUT_FIELDS, Layout

    # The wafers' options come first: a part that both sides have is called otherwise here.
    names = {part: f"{part}_gpu" if f"{part}_gpu" in options else part for part in LAYOUT_FIELDS if part != "dp"}
    fixed = {part: options.pop(name) for part, name in names.items()}
    for part, name in names.items():
        if isinstance(fixed[part], int):
            check_number(part, fixed[part], f"--{name.replace('_', '-')}")
    return GpuSide(
        gpu=options.pop("gpu"),
        num_gpus=options.pop("num_gpus"),
        software=options.pop("gpu_software"),
        precision=options.pop("precision"),
        with_two_four=options.pop("two_four"),
        fixed=Layout(**fixed),
    )
