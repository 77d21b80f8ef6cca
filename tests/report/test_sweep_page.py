"""The page of a sweep: what nothing beats, what each key moves, and what does not fit."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.documents import call
from tests.report.test_html import Document
from wse_sim.report.pareto import Figure, Point, front
from wse_sim.report.sweep_effects import effects, effects_plot
from wse_sim.report.sweep_page import sweep_page
from wse_sim.report.sweep_table import SweepTable
from wse_sim.spec.sourced import Sourced
from wse_sim.sweeps.sweep import Row, Sweep
from wse_sim.sweeps.table import read_columns, write_table

LESS = Figure(name="cost", in_words=str)
MORE = Figure(name="tokens/s", in_words=str, more_is_better=True)
NUMBERS = st.integers(0, 9).map(float)


def beats(one: Point, other: Point) -> bool:
    """Whether `one` costs no more and is as fast, and is better in one of them."""
    return one.x <= other.x and one.y >= other.y and (one.x, one.y) != (other.x, other.y)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_nothing_beats_the_front_and_the_front_beats_all_else(figures: list[tuple[float, float]]) -> None:
    points = [Point(number, x, y) for number, (x, y) in enumerate(figures)]
    kept = front(points, LESS, MORE)
    assert not any(beats(one, other) for one in points for other in kept)
    assert len({(point.x, point.y) for point in kept}) == len(kept)
    for point in points:
        assert any((point.x, point.y) == (one.x, one.y) or beats(one, point) for one in kept)


def swept(**changes: object) -> SweepTable:
    """Two systems by two densities; four systems at density 0.5 do not fit."""
    words = {
        "model": ["13b"] * 6,
        "num_csx": [1, 1, 2, 2, 4, 4],
        "density": [1.0, 0.5] * 3,
        "status": ["ok", "ok", "ok", "ok", "ok", "infeasible"],
        "reason": [None] * 5 + ["needs 12.5 GB, has 1 GB"],
    }
    numbers = {
        "tokens_per_s": np.array([100.0, 150.0, 200.0, 280.0, 300.0, np.nan]),
        "run_time_s": np.array([12e5, 8e5, 6e5, 4e5, 4e5, np.nan]),
        "cost_usd": np.array([10.0, 6.0, 10.0, 7.0, 16.0, np.nan]),
        "energy_j": np.array([1.0, 0.6, 1.0, 0.7, 1.6, np.nan]) * 3.6e6,
    }
    table = {"kind": "simulated", "command": "wse-sim sweep", "version": "1", "keys": ("model", "num_csx", "density")}
    return SweepTable(**(table | {"words": words, "numbers": numbers} | changes))  # type: ignore[arg-type]


def test_an_effect_is_the_mean_ratio_of_pairs_that_differ_in_one_key_alone() -> None:
    """Two systems over one: 200/100 and 280/150, so 1.932 in the geometric mean; four: 300/100 alone."""
    systems, density = effects(swept(), "tokens_per_s")
    assert (systems.key, systems.reference, density.key, density.reference) == ("num_csx", "1", "density", "1")
    two, four = systems.effects
    assert (two.value, two.n_pairs, two.low, two.high) == ("2", 2, pytest.approx(280 / 150), pytest.approx(2.0))
    assert two.ratio == pytest.approx((2.0 * 280 / 150) ** 0.5)
    assert (four.n_pairs, four.ratio) == (1, pytest.approx(3.0))
    (half,) = density.effects
    assert (half.value, half.n_pairs, half.ratio) == ("0.5", 2, pytest.approx((1.5 * 1.4) ** 0.5))


def test_a_key_without_pairs_has_no_effect() -> None:
    """Points on GPUs and on wafers differ in more than one key."""
    words = {"num_csx": [1, None], "gpu": [None, "h100"], "status": ["ok", "ok"], "reason": [None, None]}
    numbers = {"tokens_per_s": np.array([1.0, 2.0])}
    assert effects(swept(keys=("num_csx", "gpu"), words=words, numbers=numbers), "tokens_per_s") == []


def test_the_page_says_what_fits_what_does_not_and_why() -> None:
    constant = Sourced(value=4.0, kind="assumed", source="a guess", low=2.0, high=8.0)
    page = sweep_page(swept(), {"swarmx.fan_out": constant}, lambda run: False)
    document = Document(page)
    assert document.open == []
    words = " ".join(" ".join(document.words).split())
    assert "6 points · 5 with figures (83.3 %)" in words
    assert "infeasible 1 num csx 4, density 0.5: needs 12.5 GB, has 1 GB" in words
    assert "density 0.5 3 66.7 %" in words
    assert "Energy is in proportion to cost" in words
    assert "a guess" in words
    assert page == sweep_page(swept(), {"swarmx.fan_out": constant}, lambda run: False)


def test_one_point_has_nothing_to_be_compared_with() -> None:
    words = {**swept().words, "status": ["ok"] + ["infeasible"] * 5, "reason": [None] + ["too large"] * 5}
    page = sweep_page(swept(words=words), {}, lambda run: False)
    assert "The best points" in page
    assert "What nothing beats" not in page
    assert "What moves the answer" not in page


@pytest.mark.parametrize(
    ("contention", "said"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, np.nan], "5 points priced in closed form, .* below 0.9, in all of them"),
        ([0.1, 0.9, 1.2, np.nan, np.nan, np.nan], "3 points priced .* in all but 2: simulate those that matter"),
        ([np.nan] * 6, ""),
    ],
)
def test_the_page_says_how_far_figures_in_closed_form_can_be_trusted(contention: list[float], said: str) -> None:
    numbers = {**swept().numbers, "contention": np.array(contention)}
    page = sweep_page(swept(numbers=numbers), {}, lambda run: False)
    assert re.search(said, page) if said else "closed form" not in page


def test_reasons_that_differ_in_numbers_alone_are_one_and_the_most_frequent_comes_first() -> None:
    words = {**swept().words, "status": ["diverged"] + ["infeasible"] * 5}
    words["reason"] = ["the loss is nan", *(f"needs {n}.5 GB, has 1 GB" for n in range(5))]
    text = re.sub(r"\s+", " ", " ".join(Document(sweep_page(swept(words=words), {}, lambda run: False)).words))
    assert "infeasible 5 num csx 1, density 0.5: needs 0.5 GB" in text
    assert text.index("infeasible 5") < text.index("diverged 1")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl"])
def test_columns_read_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    points = ({"model": "13b", "density": 0.25, "wide": True}, {"model": "1.3b", "density": 1.0, "wide": False})
    sweep = Sweep(kind="simulated", points=points, results=("cost_usd",))
    rows = [Row(0, results={"cost_usd": 12.5}), Row(1, "infeasible", 'it, says "no"')]
    path = tmp_path / f"table{suffix}"
    write_table(path, sweep, rows)
    words, numbers = read_columns(
        path, words=("density", "model", "wide", "reason", "gpu"), numbers=("cost_usd", "mfu")
    )
    assert words == {
        "density": [0.25, 1.0],
        "model": ["13b", "1.3b"],
        "wide": ["true", "false"],
        "reason": [None, 'it, says "no"'],
    }
    assert numbers["cost_usd"][0] == 12.5
    assert np.isnan(numbers["cost_usd"][1])
    assert list(numbers) == ["cost_usd"]


def test_the_page_lies_beside_the_table_and_report_makes_it_again(tmp_path: Path) -> None:
    table = tmp_path / "sweep.jsonl"
    words = ("--gpu", "h100", "--num-gpus", "8,16", "--model", "111m", "--batch-size", "240")
    assert call("sweep", *words, "--out", str(table)).exit_code == 0
    page = tmp_path / "sweep.jsonl.html"
    first = page.read_bytes()
    assert b"gpu_training.tile_rows" in first
    page.unlink()
    again = call("report", str(table))
    assert (again.exit_code, again.stdout) == (0, f"{page}\n")
    assert page.read_bytes() == first


def test_a_table_of_nobody_and_one_that_is_not_whole_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    result = call("report", str(tmp_path / "mine.csv"))
    assert result.exit_code == 2
    assert "no table of a sweep" in result.stderr
    (tmp_path / "half.csv.sweep.json").write_text(
        '{"kind": "simulated", "n_points": 1, "keys": ["model"], "version": "1", "digest": "2"}', encoding="utf-8"
    )
    assert "finish the sweep first" in call("report", str(tmp_path / "half.csv")).stderr
    (tmp_path / "half.csv").write_text("model,status,reason\n", encoding="utf-8")
    result = call("report", str(tmp_path / "half.csv"))
    assert result.exit_code == 2
    assert "is not as the sweep left it" in result.stderr


def trained() -> SweepTable:
    """Four runs on bytes, within a budget."""
    losses = np.array([2.1805274, 2.1861, 2.238, 2.2415])
    words = {
        "model": ["111m"] * 4,
        "density": [1.0, 1.0, 0.25, 0.25],
        "seed": [0, 1] * 2,
        "budget": [20.0] * 4,
        "status": ["ok"] * 4,
        "reason": [None] * 4,
    }
    numbers = {
        "measured_val_loss": losses,
        "measured_bits_per_byte": losses / np.log(2),
        "measured_host_s": np.full(4, 49.3),
        "simulated_run_time_s": np.array([1374.0, 1374.0, 1126.0, 1126.0]),
        "simulated_cost_usd": np.array([30.9, 30.9, 24.9, 24.9]),
    }
    return swept(kind="measured", keys=("model", "density", "seed", "budget"), words=words, numbers=numbers)


def test_losses_of_a_trained_sweep_have_a_unit_and_one_number_of_decimals_and_its_times_have_names() -> None:
    text = re.sub(r"\s+", " ", " ".join(Document(sweep_page(trained(), {}, lambda run: False)).words))
    assert "budget 20 s" in text
    assert "measured val loss, nats/byte measured time here simulated all steps" in text
    assert "2.1805 49.3 s" in text
    assert "2.2380 49.3 s" in text
    no_bytes = {name: of for name, of in trained().numbers.items() if name != "measured_bits_per_byte"}
    page = sweep_page(replace(trained(), numbers=no_bytes), {}, lambda run: False)
    assert "measured val loss, nats/token" in page


def test_the_changes_that_a_key_makes_are_drawn_from_no_change_on() -> None:
    drawn = effects_plot(effects(trained(), "simulated_run_time_s"), "simulated_run_time_s")
    assert "0.25 -18.0 % over 1" in drawn.alt
    for svg in (drawn.wide, drawn.narrow):
        assert ">0 %</text>" in svg
