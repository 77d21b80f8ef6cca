"""`wse-sim reproduce`: test claims of the papers here, and write what came out."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wse_sim.cli.options import json_option, seeds_option
from wse_sim.cli.output import going_on, print_json, print_tables, say
from wse_sim.errors import choose

if TYPE_CHECKING:
    from training.claims.claim import Claim
    from training.claims.record import Record
    from training.claims.reproduce import Reproduction

_ALL = "all"
_OUT, _SMOKE_OUT = Path("runs/claims"), Path("runs/claims-smoke")
_NOT_RUN = "not tested yet"


@click.command("reproduce")
@click.argument("names", nargs=-1, metavar="[NAME...|all]")
@seeds_option("Of each run that trains")
@click.option("--workers", "n_workers", type=click.IntRange(min=1), metavar="N", help="[default: one for each CPU]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Raw outcomes.  [default: runs/claims]")
@click.option("--pages", type=click.Path(path_type=Path), metavar="DIR", help="Pages and index.  [default: --out]")
@click.option("--smoke", "is_smoke", is_flag=True, help="Train for seconds, to see that it runs; decides nothing.")
@json_option
def command(
    *,
    names: tuple[str, ...],
    n_seeds: int,
    n_workers: int | None,
    out: Path | None,
    pages: Path | None,
    is_smoke: bool,
    as_json: bool,
) -> None:
    """Test claims of the papers here: verdict, figures with intervals over seeds, a page for each.

    Without a name, list the claims and the verdicts in --pages. The same command goes on with what was stopped.

    \b
        wse-sim reproduce parameter-counts scaling-law
        wse-sim reproduce d2z --seeds 5 --out runs/claims
    """
    _require_known(names)  # before the trainer is loaded
    from training.claims.page import require_no_loss
    from training.claims.record import stem_of
    from training.claims.reproduce import Reproduction
    from wse_sim.cli.progress import progress
    from wse_sim.processes.limits import n_usable_cpus

    out = out or (_SMOKE_OUT if is_smoke else _OUT)
    pages = pages or out
    if not names:
        _list(pages, as_json=as_json)
        return
    claims = _claims(names)
    trained = [stem_of(claim.number, claim.name) for claim in claims if claim.needs_training]
    require_no_loss(pages, trained, is_smoke=is_smoke)
    with going_on("interrupted; the same command goes on where this stopped"), progress() as watch:
        reproduction = Reproduction(
            out=out,
            pages=pages,
            n_seeds=n_seeds,
            n_workers=n_workers or n_usable_cpus(),
            is_smoke=is_smoke,
            watch=watch,
        )
        records = [_tested(reproduction, claim) for claim in claims]
    if as_json:
        from msgspec import to_builtins

        print_json({"claims": to_builtins(records)})
        return
    for record in records:
        _print(record)
    say(f"pages: {pages}")


def _require_known(names: Iterable[str]) -> None:
    from wse_sim.cli.completion import CLAIMS

    for name in names:
        choose(name, (*CLAIMS, _ALL), "claim")


def _claims(names: Iterable[str]) -> "list[Claim]":
    from training.claims.registry import CLAIMS, claim_named

    if _ALL in names:
        return list(CLAIMS)
    asked = {claim_named(name).number for name in names}
    return [claim for claim in CLAIMS if claim.number in asked]


def _tested(reproduction: "Reproduction", claim: "Claim") -> "Record":
    reproduction.watch.say(f"{claim.number}. {claim.title}")
    record = reproduction.run(claim)
    reproduction.watch.say(f"   {record.verdict}")
    return record


def _print(record: "Record") -> None:
    from rich.text import Text

    from training.claims.page import section_of
    from wse_sim.report.tables import section_table

    print_tables(Text(f"{record.number}. {record.title}", "bold"), Text(record.statement, "dim"), "")
    for table in record.tables:
        print_tables(section_table(section_of(table)), "")
    print_tables(Text.assemble((record.verdict, "bold"), ": ", record.why), "")


def _list(pages: Path, *, as_json: bool) -> None:
    """Every claim, and the verdict that the folder of pages holds."""
    from training.claims.record import listed_claim, read_records
    from training.claims.registry import CLAIMS

    found = {record.name: record for record in read_records(pages)}
    if as_json:
        from msgspec import to_builtins

        print_json({"claims": to_builtins([listed_claim(claim, found.get(claim.name)) for claim in CLAIMS])})
        return
    from wse_sim.report.tables import plain_table

    rows = [
        (str(claim.number), claim.name, "yes" if claim.needs_training else "no", _verdict(found.get(claim.name)))
        for claim in CLAIMS
    ]
    print_tables(plain_table(("", "claim", "trains", "verdict"), rows, right=("",)))


def _verdict(record: "Record | None") -> str:
    return _NOT_RUN if record is None else f"{record.verdict} ({record.date})"
