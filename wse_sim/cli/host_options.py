"""The options of `train` that are about the run made here: as fields of `training.host.Host`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--mode",
        type=click.Choice(["auto", "full", "dense", "proxy"]),
        default="auto",
        show_default=True,
        help="What trains here. full: the model itself, of which only non-zeros are kept; dense: itself, whole; "
        "proxy: a narrower one; auto: itself if the budget allows, else a proxy.",
    ),
    click.option(
        "--steps", type=int, metavar="N", help="Optimizer steps here (full, dense).  [default: by the budget]"
    ),
    click.option("--microbatch", type=int, metavar="m", help="Sequences at once (full, dense).  [default: all]"),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16"]),
        help="Of matrix products (full, dense).  [default: bf16 where it is faster]",
    ),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda where there is one]"),
    click.option("--peak-lr", type=float, metavar="LR", help="Base learning rate.  [default: the published one]"),
    click.option(
        "--clip",
        callback=lambda ctx, param, value: _clip(value),
        default="1.0",
        show_default=True,
        metavar="NORM|none",
        help="Largest norm of the gradient; none: full takes each gradient in as it comes.",
    ),
    click.option(
        "--recompute",
        type=click.Choice(["never", "fitting", "always"]),
        help="Activations on the way back (full, dense).  [default: fitting for full, never for dense]",
    ),
    click.option("--moments", type=click.Choice(["fp32", "bf16"]), default="fp32", help="Adam's moments (full)."),
    click.option("--store", metavar="DIR", help="Keep non-zeros and moments on disk (full).  [default: in memory]"),
    click.option("--compile", is_flag=True, help="torch.compile each block (dense)."),
    click.option(
        "--sharding",
        type=click.Choice(["ddp", "fsdp"]),
        default="ddp",
        show_default=True,
        help="What processes under torchrun share out (dense).",
    ),
)
HOST_OPTIONS = (
    "mode",
    "steps",
    "microbatch",
    "precision",
    "device",
    "peak_lr",
    "clip",
    "recompute",
    "moments",
    "store",
    "compile",
    "sharding",
)


def host_options(command: Command) -> Command:
    """Adds the options; their names are `HOST_OPTIONS`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _clip(text: str) -> float | str:
    if text == "none":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor none") from None
