"""The options of `train` that are about the run made here: as fields of `training.host.Host`."""

import click

from wse_sim.cli.options import together
from wse_sim.defaults import HOST
from wse_sim.spec.written import parse_clip

precision_option = click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), help="Of matrix products.  [default: bf16 where it is faster]"
)
recompute_option = click.option(
    "--recompute",
    type=click.Choice(["never", "fitting", "always"]),
    help="Activations, on the way back, instead of keeping them.  [default: what does not fit; dense: never]",
)
moments_option = click.option(
    "--moments", type=click.Choice(["fp32", "bf16"]), default=HOST["moments"], show_default=True, help="Adam's (full)."
)
store_option = click.option("--store", metavar="DIR", help="Keep non-zeros on disk (full).  [default: in memory]")


host_options = together(
    click.option(
        "--mode",
        type=click.Choice(["auto", "full", "dense", "proxy"]),
        default=HOST["mode"],
        show_default=True,
        help="full: the model itself trains, of which only non-zeros are kept; dense: itself, whole; proxy: a "
        "narrower one; auto: itself if the budget allows, else a proxy. What follows is for full and dense.",
    ),
    click.option("--steps", type=int, metavar="N", help="Optimizer steps here.  [default: by the budget]"),
    click.option(
        "--microbatch",
        type=int,
        metavar="m",
        help="Sequences at once; they are a step's where no --batch-size is given.  [default: all]",
    ),
    precision_option,
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        help="Of matrix products.  [default: cuda where there is one]",
    ),
    click.option("--peak-lr", type=float, metavar="LR", help="Base learning rate.  [default: the published one]"),
    click.option(
        "--clip",
        callback=lambda ctx, param, value: parse_clip(value),
        default=HOST["clip"],
        show_default=True,
        metavar="NORM|none",
        help="Largest norm of the gradient; with none, full takes each gradient in as it comes.",
    ),
    recompute_option,
    moments_option,
    store_option,
    click.option("--compile", is_flag=True, help="Put blocks through torch.compile (dense)."),
    click.option(
        "--sharding",
        type=click.Choice(["ddp", "fsdp"]),
        default=HOST["sharding"],
        show_default=True,
        help="What processes under torchrun share out (dense).",
    ),
)
"""The fields of `Host` but for `batch_size`, which the target has too."""
