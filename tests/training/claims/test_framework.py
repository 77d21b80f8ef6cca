"""Intervals, records and the run of a claim: what every claim stands on."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.watching import Heard
from training.claims.claim import INCONCLUSIVE, REPRODUCED, Claim, Finding, Setting, Table
from training.claims.interval import over_seeds, t_quantile
from training.claims.record import Record, read_record, read_records
from training.claims.registry import CLAIMS, claim_named
from training.claims.reproduce import FINDING_FILE, Reproduction
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.curves import Curve, Panel


@pytest.mark.parametrize("degrees", range(1, 31))
def test_students_quantile_is_that_of_scipy(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def test_interval_by_hand() -> None:
    found = over_seeds([1.0, 2.0, 3.0])  # standard error 1/sqrt(3); t of two degrees of freedom 4.3027
    assert (found.mean, found.n_seeds) == (2.0, 3)
    assert found.half == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    assert found.text(".2f") == "2.00 ± 2.48 (3 seeds)"
    assert over_seeds([0.5]).text("+.1f") == "+0.5 (1 seed)"
    assert over_seeds([0.5]).half == math.inf
    assert over_seeds([0.5, math.inf, 1.0]).text() == "–"


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=6), st.floats(-5, 5))
def test_interval_moves_with_its_values(values: list[float], shift: float) -> None:
    found, moved = over_seeds(values), over_seeds([value + shift for value in values])
    assert moved.mean == pytest.approx(found.mean + shift, abs=1e-12)
    assert moved.half == pytest.approx(found.half, abs=1e-9)
    assert found.low <= found.mean <= found.high


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 3))
    covered = [found.low <= 3.0 <= found.high for found in map(over_seeds, draws.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)  # three standard errors of a share of 2000


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(AssertionError, match="a cell for each column"):
        Table("t", ("a", "b"), ((1,),))


def test_claims_have_their_numbers_and_names_once_and_in_order() -> None:
    numbers = [claim.number for claim in CLAIMS]
    assert numbers == sorted(set(numbers))
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.source
        assert claim.accepted_if
        assert claim_named(claim.name) is claim


def test_a_claim_that_is_unknown_is_told_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'scaling-law'"):
        claim_named("scaling-laws")


def invented_claim(verdict: str = REPRODUCED, *, needs_training: bool = True) -> Claim:
    def find(setting: Setting) -> Finding:
        (setting.out / "raw").write_text("raw")
        setting.watch.say("half way")
        curve = Curve(label="a", x=[1.0, 2.0], y=[1 / 3, math.nan], is_marked=True)
        return Finding(
            verdict=INCONCLUSIVE if setting.is_smoke else verdict,
            why="It says so.",
            setup=("Nothing real.",),
            tables=(Table("Figures", ("name", "value", "n"), (("a | b", 1.5, 1234), ("c", "+2 ± 1", 5))),),
            panels=(Panel(title="p", x_label="x", y_label="y", curves=[curve], x_scale="log2"),),
        )

    return Claim(
        number=3,
        name="invented",
        title="An invented claim",
        statement="Two is more than one.",
        source="nowhere",
        accepted_if="it is",
        needs_training=needs_training,
        find=find,
    )


def reproduction(folder: Path, watch: Watch = UNWATCHED, *, is_smoke: bool = False) -> Reproduction:
    return Reproduction(
        out=folder / "out", pages=folder / "pages", n_seeds=4, n_workers=1, is_smoke=is_smoke, watch=watch
    )


def test_a_claim_that_ran_leaves_outcomes_finding_page_figure_and_index(tmp_path: Path) -> None:
    heard = Heard()
    record = reproduction(tmp_path, heard).run(invented_claim())
    assert heard.lines == ["half way"]
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    pages = {"03-invented.json", "03-invented.md", "03-invented.svg", "README.md"}
    assert names == {f"pages/{name}" for name in pages} | {"out/03-invented/raw", f"out/03-invented/{FINDING_FILE}"}
    assert (record.verdict, record.n_seeds, record.command) == (REPRODUCED, 4, "wse-sim reproduce invented --seeds 4")
    page = (tmp_path / "pages/03-invented.md").read_text()
    for promised in (
        "**Reproduced.** It says so.",
        "Accepted if: it is.",
        "| a \\| b | 1.5 | 1,234 |",
        "![An invented claim](03-invented.svg)",
        record.machine.cpu,
        "4 seed(s)",
        "610M",
    ):
        assert promised in page
    assert (
        "| 3 | [An invented claim](03-invented.md) | reproduced | It says so. |"
        in (tmp_path / "pages/README.md").read_text()
    )


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    record = reproduction(tmp_path).run(invented_claim())
    again = read_record(tmp_path / "out/03-invented" / FINDING_FILE)
    assert again == record
    (panel,) = again.panels
    (curve,) = panel.curves
    assert list(curve.x) == [1.0, 2.0]
    assert curve.y[0] == 0.333333  # six digits
    assert math.isnan(curve.y[1])
    assert (panel.x_scale, curve.is_marked, curve.low) == ("log2", True, None)


def test_a_smoke_run_never_replaces_what_a_real_one_found(tmp_path: Path) -> None:
    found = reproduction(tmp_path, is_smoke=True).run(invented_claim())
    assert (found.verdict, found.is_smoke, found.command) == (INCONCLUSIVE, True, "wse-sim reproduce invented --smoke")
    reproduction(tmp_path).run(invented_claim())  # a real one does replace it
    with pytest.raises(SpecError, match="03-invented"):
        reproduction(tmp_path, is_smoke=True).run(invented_claim())
    assert [record.verdict for record in read_records(tmp_path / "pages")] == [REPRODUCED]


def test_what_needs_no_training_has_no_smaller_version(tmp_path: Path) -> None:
    found = reproduction(tmp_path, is_smoke=True).run(invented_claim(needs_training=False))
    assert (found.verdict, found.is_smoke, found.n_seeds) == (REPRODUCED, False, 0)
    assert "Nothing trains for this claim." in (tmp_path / "pages/03-invented.md").read_text()


def test_index_has_all_claims_of_its_folder(tmp_path: Path) -> None:
    for number, verdict in ((3, REPRODUCED), (1, "not reproduced")):
        reproduction(tmp_path).run(replace(invented_claim(verdict), number=number, name=f"claim-{number}"))
    index = (tmp_path / "pages/README.md").read_text()
    assert "2 claims: " in index
    assert index.index("01-claim-1.md") < index.index("03-claim-3.md")


def test_a_broken_record_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "01-x.json"
    path.write_text("{}")
    with pytest.raises(SpecError, match=r"01-x\.json"):
        read_records(tmp_path)
    assert read_records(tmp_path / "nowhere") == []


def test_record_names_its_files_with_two_digits(tmp_path: Path) -> None:
    record: Record = reproduction(tmp_path).run(invented_claim())
    assert record.stem == "03-invented"
