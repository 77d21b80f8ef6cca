"""Pages of the claims in Markdown, each with its figure, and their index: made from the records alone."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.claims.claim import Cell, Table
from training.claims.record import Record, read_records, write_record
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, write_atomically
from wse_sim.report.curves import write_curves
from wse_sim.report.quantities import duration
from wse_sim.report.tables import Section, section_markdown

INDEX_FILE = "README.md"
SCALE = (
    "Scale: models that train here read text byte by byte, are at most 512 wide and have two to four layers. None of "
    "it shows a result of a 610M model."
)
_NUMBER_STARTS = "+-–.0123456789"


def write_pages(record: Record, folder: Path) -> None:
    """Write a record, its page and its figure, and the index of all records of the folder anew.

    Raises
    ------
    SpecError
        When a smoke run would replace the finding of a real one, or a file cannot be written.
    """
    make_folder(folder)
    require_no_loss(folder, [record.stem], is_smoke=record.is_smoke)
    write_record(record, folder / f"{record.stem}.json")
    rebuild(record, folder)
    write_index(folder)


def rebuild(record: Record, folder: Path) -> None:
    """Write the page and the figure of a record."""
    write_atomically(folder / f"{record.stem}.md", page_text(record).encode())
    if record.figure:
        write_curves(record.panels, folder / f"{record.stem}.svg", title=f"{record.number}. {record.title}")


def write_index(folder: Path) -> None:
    """Write the index of the records that the folder holds."""
    write_atomically(folder / INDEX_FILE, index_text(read_records(folder)).encode())


def require_no_loss(folder: Path, stems: Sequence[str], *, is_smoke: bool) -> None:
    """Raises SpecError where a smoke run would replace what a real one found."""
    if not is_smoke:
        return
    real = {record.stem for record in read_records(folder) if not record.is_smoke}
    lost = sorted(real.intersection(stems))
    if lost:
        raise SpecError(
            f"{folder}: holds what a real run found about {', '.join(lost)}: name another folder for a smoke run"
        )


def page_text(record: Record) -> str:
    """The page of one claim."""
    parts = [
        f"# {record.number}. {record.title}",
        f"Made by `{record.command}`; not edited by hand.",
        f"**{record.verdict.capitalize()}.** {record.why}",
        "## The claim",
        record.statement,
        f"Source: {record.source}.",
        f"Accepted if: {record.accepted_if}.",
        *([f"![{record.title}]({record.stem}.svg)"] if record.figure else []),
        *(section_markdown(section_of(table)) for table in record.tables),
        "## Set-up",
        "\n".join(f"- {sentence}" for sentence in (*record.setup, *([SCALE] if record.n_seeds else []))),
        "## Run",
        _run_lines(record),
        f"All claims: [index]({INDEX_FILE})",
    ]
    return "\n\n".join(parts) + "\n"


def index_text(records: Sequence[Record]) -> str:
    """The table of all claims."""
    counts = Counter(record.verdict for record in records)
    said = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items(), key=lambda item: -item[1]))
    rows = [
        (str(record.number), f"[{record.title}]({record.stem}.md)", record.verdict, record.why) for record in records
    ]
    section = Section(title="Verdicts", header=("", "claim", "verdict", "why"), rows=rows, right=("",))
    parts = [
        "# Claims of the papers, reproduced",
        "Made by `wse-sim reproduce`; not edited by hand.",
        "Each claim has a criterion that was fixed before anything ran, and a page with figures, intervals over "
        "seeds and the command to repeat it. What failed stays here.",
        f"{len(records)} claims: {said}." if records else "No claim has been tested yet.",
        SCALE,
        section_markdown(section),
    ]
    return "\n\n".join(parts) + "\n"


def section_of(table: Table) -> Section:
    """A table as text; columns of numbers are aligned right."""
    rows = [tuple(map(_shown, row)) for row in table.rows]
    columns = list(zip(*rows, strict=True))
    is_number = [all(cell[:1] in _NUMBER_STARTS for cell in column) for column in columns]
    right = tuple(name for name, holds in zip(table.columns, is_number, strict=False) if holds)
    return Section(title=table.title, header=table.columns, rows=rows, right=right)


def _run_lines(record: Record) -> str:
    machine = record.machine
    trained = f"{duration(record.training_s)} of training, measured; " if record.training_s else ""
    seeds = f"{record.n_seeds} seed(s) of each run that trains." if record.n_seeds else "Nothing trains for this claim."
    lines = [
        f"Repeat it: `{record.command}`",
        f"{record.date}; {machine.cpu}, {machine.n_cpus} cores; torch {machine.torch}, Python {machine.python}.",
        f"{trained}{duration(record.seconds)} of this command.",
        seeds,
    ]
    return "\n".join(f"- {line}" for line in lines)


def _shown(cell: Cell) -> str:
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else cell
