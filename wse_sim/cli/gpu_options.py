"""The options that say which GPUs, and how they share the work."""

import click

from wse_sim.cli.options import together
from wse_sim.defaults import GPUS

gpu_options = together(
    click.option("--gpu", default=GPUS["gpu"], show_default=True, metavar="G", help="Kind of GPU: wse-sim list gpus."),
    click.option(
        "--num-gpus", type=int, metavar="K", help="How many.  [default: whole servers nearest to the wafers' price]"
    ),
    click.option(
        "--gpu-software",
        default=GPUS["gpu_software"],
        show_default=True,
        metavar="NAME",
        help="Their training program: wse-sim list gpu-software.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["bf16", "fp8"]),
        default=GPUS["precision"],
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
"""For `wse_sim.api.gpus.gpu_side_of`."""
