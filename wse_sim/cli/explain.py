"""`wse-sim explain`: what a field or a constant means, and where it comes from."""

from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.options import density_options, json_option, together
from wse_sim.cli.output import print_json, print_tables
from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_density

if TYPE_CHECKING:
    from wse_sim.report.fields import Field


_parametrization_options = together(
    click.option("--model", metavar="M", help="Preset, config.json or shape TOML.  [default: rules alone]"),
    density_options,
    click.option(
        "--parametrization",
        metavar="P",
        help="Whose rules: sp, mup, smupar, completep, ...  [default: those of the file, or smupar]",
    ),
    click.option("--base", metavar="B", help="Base to transfer, such as smupar-paper.  [default: the published one]"),
    click.option(
        "--weight-decay-scaling",
        type=click.Choice(["none", "constant_lr_wd"]),
        help="Whether learning rate times weight decay stays that of the base.  [default: none]",
    ),
    click.option(
        "--depth-alpha",
        type=float,
        metavar="A",
        help="Of completep: exponent of the residual branches, 0.5 to 1.  [default: 1]",
    ),
    click.option(
        "--sparsity-algorithm", metavar="NAME", help="How masks change: static, set, rigl, ...  [default: static]"
    ),
)


@click.command("explain")
@click.argument("name", required=False, metavar="[NAME]")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--system", default="cs2", show_default=True, metavar="cs1|cs2|cs3|FILE", help="Whose constants.")
@_parametrization_options
@click.option("--toml", "as_toml", is_flag=True, help="Of config: print the equivalent TOML alone.")
@json_option
def command(
    *, name: str | None, files: tuple[str, ...], system: str, as_toml: bool, as_json: bool, **of_parametrization: Any
) -> None:
    """Say what NAME means: unit, kind, definition, formula; without a name, list all fields.

    NAME is a key of what commands print as JSON, or a column of their tables; the object that it is in may stand before
    it: mfu, contention, breakdown.linear. Other names print constants with their range and source:

    \b
      constants                   of a system; csx.clock_hz: one alone
      gpus                        of all GPUs, and of what trains on them
      h100, torch-eager, ...      of one of these; h100.sustained_fraction: one alone
      FILE.toml                   of a system, GPU or program of your own
      operations, gpu-operations  of a whole run: start, checkpoints, slow systems, failures
      economics                   of carbon and money: electricity, grids, purchase

    `parametrization` prints the rules by which tensors are initialized and trained and, with --model, the numbers that
    every tensor of that model gets; the options from --model to --sparsity-algorithm belong to it.

    `config FILE...` says what became of each key of a configuration of Cerebras ModelZoo, as --config reads it: what
    was understood, what was ignored and why, what was assumed; and the equivalent TOML.
    """
    if name == "parametrization" and not files:
        _explain_parametrization(as_json=as_json, **of_parametrization)
        return
    _refuse(of_parametrization)
    if name == "config":
        from wse_sim.cli.explain_config import print_configuration

        print_configuration(files, as_toml=as_toml, as_json=as_json)
        return
    if files or as_toml:
        what = files[0] if files else "--toml"
        raise SpecError(f"{what} is given, but it belongs to: wse-sim explain config FILE")
    if name is not None and _explain_constants(name, system, as_json=as_json):
        return
    from msgspec import to_builtins

    from wse_sim.report.fields import all_fields, explained

    fields = all_fields() if name is None else explained(name)
    if as_json:
        print_json({"fields": to_builtins(fields)})
    elif name is None:
        _print_overview(fields)
    else:
        click.echo("\n\n".join(_in_full(field) for field in fields))


def _explain_parametrization(*, density: float | None, sparsity: float | None, as_json: bool, **given: Any) -> None:
    from wse_sim.cli.explain_parametrization import print_parametrization

    print_parametrization(density=parse_density(density, sparsity), as_json=as_json, **given)


def _refuse(of_parametrization: dict[str, Any]) -> None:
    for option, value in of_parametrization.items():
        if value is not None:
            flag = "--" + option.replace("_", "-")
            raise SpecError(f"{flag} is given, but it belongs to: wse-sim explain parametrization")


def _explain_constants(name: str, system: str, *, as_json: bool) -> bool:
    """Prints the constants called `name`, if that is what it is."""
    from wse_sim.cli.explain_constants import constants_called

    found = constants_called(name, system)
    if found is None:
        return False
    import msgspec

    from wse_sim.report.tables import constants_table

    if as_json:
        print_json({**found.whose, "constants": {key: msgspec.to_builtins(c) for key, c in found.constants.items()}})
    else:
        print_tables(constants_table(found.constants, title=found.title))
    return True


def _in_full(field: "Field") -> str:
    lines = [f"{field.name}  ({field.where})", f"  {field.definition}"]
    if field.formula:
        lines.append(f"  formula  {field.formula}")
    lines.append(f"  unit     {field.unit or 'none'}")
    lines.append(f"  kind     {field.kind}")
    return "\n".join(lines)


def _print_overview(fields: "tuple[Field, ...]") -> None:
    from wse_sim.report.tables import plain_table

    places = dict.fromkeys(field.where for field in fields)
    for place in places:
        rows = [(f.name, f.unit, f.kind, f.definition) for f in fields if f.where == place]
        print_tables(plain_table(("field", "unit", "kind", "definition"), rows, title=place))
