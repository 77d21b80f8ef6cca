"""The options that commands share, and the run that they describe."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from wse_sim.spec.run import MaskUpdates, Run

Command = TypeVar("Command", bound=Callable[..., Any])

_COUNT = re.compile(r"(?P<number>[-+0-9.eE]+)\s*(?P<suffix>[kmbt]?)", re.IGNORECASE)
_BOTH_GIVEN = "--density and --sparsity are both given: use one of them, density = 1 - sparsity"
_SPAN = re.compile(r"(?P<number>[0-9]*[.]?[0-9]+)\s*(?P<unit>[smhd]?)", re.IGNORECASE)
_SECONDS_PER = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def parsed_count(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a large number."""
    return None if value is None else parse_count(value, param.name or "count")


def parsed_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a span of time."""
    return None if value is None else parse_seconds(value, param.name or "time")


def parse_seconds(text: str, what: str) -> float:
    """The seconds that `text` writes, such as 90, 90s, 3m or 2h.

    Raises
    ------
    SpecError
        When it is no positive span of time; the message calls it `what`.
    """
    match = _SPAN.fullmatch(text.strip())
    seconds = float(match["number"]) * _SECONDS_PER[match["unit"].lower()] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise SpecError(f"{what} is {text!r}: write a positive time such as 90s, 3m or 2h")
    return seconds


def parse_count(text: str, what: str) -> float:
    """The number that `text` writes, such as 1e9, 26.3B or 800M.

    Raises
    ------
    SpecError
        When it is not one; the message calls it `what`.
    """
    match = _COUNT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        return float(match["number"]) * _SUFFIXES[match["suffix"].lower()]
    except ValueError:
        raise SpecError(f"{what} is {text!r}: write a number such as 1e9, 26.3B or 800M") from None


def parse_density(density: float | None, sparsity: float | None) -> float:
    """The density that the user gave, as density or as sparsity; 1 where neither is given.

    Raises
    ------
    SpecError
        When both are given, or the value is out of range.
    """
    if density is not None and sparsity is not None:
        raise SpecError(_BOTH_GIVEN)
    if sparsity is not None:
        if not 0 <= sparsity < 1:
            raise SpecError(f"sparsity is {sparsity}: it must be at least 0 and below 1 (0.75 masks 3 of 4 weights)")
        return round(1.0 - sparsity, 12)  # 1 - 0.9 is to be 0.1
    if density is None:
        return 1.0
    if not 0 < density <= 1:
        raise SpecError(f"density is {density}: it must be above 0 and at most 1 (0.25 keeps 1 of 4 weights)")
    return density


def parse_densities(density: str | None, sparsity: str | None) -> list[float]:
    """The densities that the user gave, several with commas between them; each once, in order.

    Raises
    ------
    SpecError
        As `parse_density`.
    """
    if density is not None and sparsity is not None:
        raise SpecError(_BOTH_GIVEN)
    if sparsity is not None:
        parsed = [parse_density(None, _number(text, "sparsity")) for text in sparsity.split(",")]
    else:
        parsed = [parse_density(_number(text, "density"), None) for text in (density or "1").split(",")]
    return list(dict.fromkeys(parsed))


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"{what} is {text!r}: write a number, or several with commas between them") from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")


sparse_wide_option = click.option(
    "--sparse-wide",
    "is_sparse_wide",
    is_flag=True,
    help="Widen the model so that at this density its linear layers keep the dense one's non-zeros.",
)


def density_options(command: Command) -> Command:
    """Adds `density` and `sparsity`, for `parse_density`."""
    command = click.option("--sparsity", type=float, help="The same as 1 - density: give one of the two.")(command)
    return click.option(
        "--density", type=float, metavar="RHO", help="Fraction of the linear layers' weights kept.  [default: 1]"
    )(command)


def run_options(command: Command) -> Command:
    """Adds the options that describe a run; `run_from` takes them as keyword arguments."""
    options = (
        click.option("--model", required=True, metavar="M", help="Preset, config.json or shape TOML (wse-sim list)."),
        click.option("--system", default="cs2", show_default=True, metavar="cs1|cs2|cs3", help="Kind of system."),
        click.option("--num-csx", type=int, metavar="N", help="Systems.  [default: recipe's with its batch, or 1]"),
        click.option("--batch-size", type=int, metavar="B", help="Sequences per step in all.  [default: recipe's]"),
        click.option("--microbatch", type=int, metavar="m", help="Sequences per system at a time.  [default: fastest]"),
        click.option("--seq-len", type=int, metavar="S", help="Tokens per sequence.  [default: the model's]"),
        density_options,
        sparse_wide_option,
        click.option("--release", default="r2", show_default=True, metavar="R", help="Software release: wse-sim list."),
        click.option(
            "--tokens", callback=parsed_count, metavar="T", help="1e9, 26.3B, 800M.  [default: 20 per parameter]"
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Of drawn masks, jitter and failures."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def imperfection_options(command: Command) -> Command:
    """Adds what makes systems and masks less than ideal, for `run_from`."""
    options = (
        click.option("--jitter", type=float, default=0.0, metavar="F", help="Passes take 0 to F longer, each drawn."),
        click.option("--straggler", type=float, default=1.0, metavar="F", help="One system takes F times as long."),
        mask_update_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


def mask_update_options(command: Command) -> Command:
    """Adds how masks change, for `parse_mask_updates`."""
    command = click.option(
        "--mask-update-steps", type=int, metavar="N", help="Steps between two changes of the masks.  [default: 100]"
    )(command)
    return click.option(
        "--sparsity-algorithm",
        type=click.Choice(["static", "set", "rigl", "gmp"]),
        default="static",
        show_default=True,
        help="How the masks change while the run trains.",
    )(command)


def parse_mask_updates(algorithm: str, every_steps: int | None) -> "MaskUpdates | None":
    """How masks change, None where they never do.

    Raises
    ------
    SpecError
        When steps are given for masks that never change.
    """
    from wse_sim.spec.run import MaskUpdates

    if algorithm != "static":
        given = {} if every_steps is None else {"every_steps": every_steps}
        return MaskUpdates(algorithm=algorithm, **given)  # type: ignore[arg-type]  # click has checked the name
    if every_steps is not None:
        raise SpecError(
            "--mask-update-steps is given, but static masks never change: use --sparsity-algorithm set, rigl or gmp"
        )
    return None


def run_from(
    *,
    model: str,
    system: str,
    density: float | None,
    sparsity: float | None,
    release: str,
    sparsity_algorithm: str = "static",
    mask_update_steps: int | None = None,
    **given: Any,
) -> "Run":
    """The run that the options describe, with what they leave out taken from the model's recipe.

    Raises
    ------
    SpecError
        When the input is wrong, or the batch size is missing and the model has no recipe.
    """
    from wse_sim.simulate import resolve_run
    from wse_sim.spec.load import load_model

    return resolve_run(
        load_model(model),
        system=system.lower(),
        density=parse_density(density, sparsity),
        release=release.lower(),
        mask_updates=parse_mask_updates(sparsity_algorithm, mask_update_steps),
        **given,
    )
