"""The page of a long table shows a part of it: the best of all, all that nothing beats, and others at random."""

from pathlib import Path

import numpy as np
import pytest

from tests.report.test_html import Document
from wse_sim.report.pareto import Figure, Point, front
from wse_sim.sweeps import shown_rows as module
from wse_sim.sweeps.journal import identity_of
from wse_sim.sweeps.page import write_sweep_page
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.shown_rows import shown_rows
from wse_sim.sweeps.sweep import Row, Sweep

N = 3000
FIGURES = ("tokens_per_s", "mfu", "run_time_s", "cost_usd", "energy_j")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """Two models, of which a tenth of the points does not fit; the best of each stand anywhere."""
    drawn = np.random.default_rng(1).lognormal(size=(N, len(FIGURES))).round(2)
    points = tuple({"model": ("111m", "256m")[n % 2], "system": "cs3", "seed": n % 50} for n in range(N))
    rows = [
        Row(n, "infeasible", f"needs {n} GB") if n % 10 == 9 else Row(n, results=dict(zip(FIGURES, of, strict=True)))
        for n, of in enumerate(drawn.tolist())
    ]
    table = tmp_path_factory.mktemp("swept") / "table.csv"
    results = (*FIGURES, "num_csx", "batch_size")
    run_sweep(Sweep(kind="simulated", points=points, results=results), lambda todo: (yield rows), table)
    return table, rows


def shown(table: Path, monkeypatch: pytest.MonkeyPatch, most: int = 100) -> set[int]:
    monkeypatch.setattr(module, "MOST", most)
    monkeypatch.setattr(module, "_AT_ONCE", 700)
    identity = identity_of(table)
    assert identity is not None
    is_shown = shown_rows(table, identity)
    assert is_shown is not None
    return set(np.flatnonzero(is_shown).tolist())


def test_the_best_of_all_and_every_front_are_among_what_is_shown(
    swept: tuple[Path, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, rows = swept
    found = shown(table, monkeypatch)
    assert 100 <= len(found) < 250
    assert found == shown(table, monkeypatch)
    ok = [row for row in rows if row.status == "ok"]
    for by, sign in (("tokens_per_s", -1), ("cost_usd", 1)):
        best = sorted(ok, key=lambda row: sign * row.results[by])[:15]  # type: ignore[operator]
        assert {row.index for row in best} <= found
    for x, y, more in (("run_time_s", "cost_usd", False), ("tokens_per_s", "energy_j", True)):
        for model in (0, 1):
            points = [
                Point(row.index, float(row.results[x]), float(row.results[y]))  # type: ignore[arg-type]
                for row in ok
                if row.index % 2 == model
            ]
            on_front = front(points, _figure(more), _figure(False))
            assert {point.id for point in on_front} <= found


def _figure(more_is_better: bool) -> Figure:
    return Figure(name="x", in_words=str, more_is_better=more_is_better)


def test_the_page_says_of_how_many_rows_it_is(swept: tuple[Path, list[Row]], monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = swept
    whole = " ".join(Document(write_sweep_page(table).read_text(encoding="utf-8")).words)
    assert "3,000 points · 2,700 with figures (90.0 %)" in whole
    assert "taken at random" not in whole
    n_shown = len(shown(table, monkeypatch))
    part = " ".join(Document(write_sweep_page(table).read_text(encoding="utf-8")).words)
    assert "3,000 points" in part
    assert f"The table has 3,000 rows. This page shows {n_shown} of them" in part
