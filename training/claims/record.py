"""What was found about a claim, with how and when it was found: a JSON file that its page is made from."""

import math
from pathlib import Path
from typing import Any

import msgspec

from training.claims.claim import Claim, Finding, Table, Verdict
from wse_sim.errors import SpecError
from wse_sim.files import read_bytes, write_atomically
from wse_sim.report.curves import Curve, Panel, Scale

_DIGITS = 6  # of a figure's points


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`wse_sim.report.curves.Curve` in a file; a gap is null."""

    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] | None = None
    high: tuple[float | None, ...] | None = None
    is_marked: bool = False
    is_joined: bool = True
    is_dashed: bool = False


class Axes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`wse_sim.report.curves.Panel` in a file."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Line, ...]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it ran on."""

    cpu: str
    n_cpus: int
    python: str
    torch: str


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding and where it comes from.

    Parameters
    ----------
    accepted_if :
        The criterion as it stood when the claim was tested.
    n_seeds :
        0 where nothing trains.
    training_s :
        Measured seconds of all runs that were trained, whenever that was.
    seconds :
        Of the command itself: little where the runs were there already.
    """

    number: int
    name: str
    title: str
    statement: str
    source: str
    accepted_if: str
    verdict: Verdict
    why: str
    setup: tuple[str, ...]
    tables: tuple[Table, ...]
    figure: tuple[Axes, ...]
    command: str
    date: str
    machine: Machine
    n_seeds: int
    training_s: float
    seconds: float
    is_smoke: bool

    @property
    def stem(self) -> str:
        """Name of its files without their suffix."""
        return stem_of(self.number, self.name)

    @property
    def panels(self) -> list[Panel]:
        return [_panel(axes) for axes in self.figure]


class ListedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim, and what its page says; verdict and why are None where it is not tested yet."""

    number: int
    name: str
    title: str
    statement: str
    source: str
    accepted_if: str
    needs_training: bool
    verdict: Verdict | None
    why: str | None


def stem_of(number: int, name: str) -> str:
    """`09-d2z`."""
    return f"{number:02d}-{name}"


def record_of(
    claim: Claim,
    finding: Finding,
    *,
    command: str,
    date: str,
    machine: Machine,
    n_seeds: int,
    training_s: float,
    seconds: float,
    is_smoke: bool,
) -> Record:
    """The record of a finding; points of its figure are rounded to six digits."""
    return Record(
        number=claim.number,
        name=claim.name,
        title=claim.title,
        statement=claim.statement,
        source=claim.source,
        accepted_if=claim.accepted_if,
        verdict=finding.verdict,
        why=finding.why,
        setup=finding.setup,
        tables=finding.tables,
        figure=tuple(_axes(panel) for panel in finding.panels),
        command=command,
        date=date,
        machine=machine,
        n_seeds=n_seeds if claim.needs_training else 0,
        training_s=round(training_s, 1),
        seconds=round(seconds, 3),
        is_smoke=is_smoke,
    )


def listed_claim(claim: Claim, record: Record | None) -> ListedClaim:
    """The claim, with the verdict of its record."""
    return ListedClaim(
        number=claim.number,
        name=claim.name,
        title=claim.title,
        statement=claim.statement,
        source=claim.source,
        accepted_if=claim.accepted_if,
        needs_training=claim.needs_training,
        verdict=record.verdict if record else None,
        why=record.why if record else None,
    )


def write_record(record: Record, path: Path) -> None:
    """Write it as JSON that a person can read and git can compare."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises
    ------
    SpecError
        When it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(read_bytes(path), type=Record)
    except msgspec.DecodeError as error:
        raise SpecError(f"{path}: is no finding about a claim: {error}") from None


def read_records(folder: Path) -> list[Record]:
    """The records of a folder of pages, by number; none where there is no such folder."""
    return [read_record(path) for path in sorted(folder.glob("[0-9][0-9]-*.json"))]


def _axes(panel: Panel) -> Axes:
    return Axes(
        title=panel.title,
        x_label=panel.x_label,
        y_label=panel.y_label,
        curves=tuple(_line(curve) for curve in panel.curves),
        x_scale=panel.x_scale,
        y_scale=panel.y_scale,
    )


def _line(curve: Curve) -> Line:
    return Line(
        label=curve.label,
        x=tuple(_rounded(x) or 0.0 for x in curve.x),
        y=_points(curve.y),
        low=None if curve.low is None else _points(curve.low),
        high=None if curve.high is None else _points(curve.high),
        is_marked=curve.is_marked,
        is_joined=curve.is_joined,
        is_dashed=curve.is_dashed,
    )


def _points(values: Any) -> tuple[float | None, ...]:
    return tuple(map(_rounded, values))


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _panel(axes: Axes) -> Panel:
    return Panel(
        title=axes.title,
        x_label=axes.x_label,
        y_label=axes.y_label,
        curves=[_curve(line) for line in axes.curves],
        x_scale=axes.x_scale,
        y_scale=axes.y_scale,
    )


def _curve(line: Line) -> Curve:
    return Curve(
        label=line.label,
        x=line.x,
        y=_with_gaps(line.y),
        low=None if line.low is None else _with_gaps(line.low),
        high=None if line.high is None else _with_gaps(line.high),
        is_marked=line.is_marked,
        is_joined=line.is_joined,
        is_dashed=line.is_dashed,
    )


def _with_gaps(values: tuple[float | None, ...]) -> list[float]:
    return [math.nan if value is None else value for value in values]
