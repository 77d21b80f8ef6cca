"""`wse-sim schema`: the JSON Schema of what commands print and write, and of the files that users write."""

from pathlib import Path

import click

from wse_sim.cli.output import print_json, print_tables, say
from wse_sim.errors import SpecError, choose


@click.command("schema")
@click.argument("name", required=False, metavar="[DOCUMENT]")
@click.option("--all", "is_all", is_flag=True, help="Every document, into the folder --out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write into: a file for each document.",
)
@click.option("--markdown", is_flag=True, help="Print the page docs/reference/json.md.")
def command(*, name: str | None, is_all: bool, out: Path | None, markdown: bool) -> None:
    """Print the JSON Schema (2020-12) of DOCUMENT; without one, list the documents.

    Documents are what commands print under --json, what they write, and the TOML files that users write. Every
    property says what it is, its unit, its kind (input, measured, simulated or projected) and its formula, in the words
    of `wse-sim explain`.

    \b
        wse-sim schema simulate
        wse-sim schema --all --out schemas
    """
    if (name is not None) + is_all + markdown > 1:
        raise SpecError("a document's name, --all and --markdown exclude each other: give one of them")
    if out is None and is_all:
        raise SpecError("--all writes a file for each document: say where with --out DIR")
    if out is not None and name is None and not is_all:
        raise SpecError("--out is given, but no document: name one (wse-sim schema lists them), or say --all")
    if out is not None:
        _write(name, out)
    elif name is not None:
        from wse_sim.cli.documents import schema_of

        print_json(schema_of(name))
    elif markdown:
        from wse_sim.cli.documents_page import page

        click.echo(page(), nl=False)
    else:
        _list()


def _write(name: str | None, out: Path) -> None:
    """The schema of one document, or of all."""
    from wse_sim.cli.documents import DOCUMENTS, schema_of
    from wse_sim.files import make_folder, require_place, write_json

    names = DOCUMENTS if name is None else [choose(name, DOCUMENTS, "document")]
    paths = {each: out / f"{each}.schema.json" for each in names}
    make_folder(out)
    for path in paths.values():
        require_place(path)  # schemas take seconds to make: some are of types that load torch
    for each, path in paths.items():
        write_json(path, schema_of(each))
        say(f"written: {path}")


def _list() -> None:
    from wse_sim.cli.documents import DOCUMENTS
    from wse_sim.report.tables import plain_table

    rows = [(name, document.title) for name, document in DOCUMENTS.items()]
    print_tables(plain_table(("document", "what it is"), rows))
