"""Every page in headless Chromium: quiet, whole, readable on a phone, in light and in dark, and by keyboard."""

import csv
import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.documents import call
from tests.comparison.sides import compared
from tests.planning.questions import found as plan_found
from tests.report.browser import laid_out
from tests.report.run_directory import simulation, write_comparison, write_run
from wse_sim.planning.files import write_plan
from wse_sim.planning.planner import plan_of
from wse_sim.report.comparison_page import write_comparison as write_compare
from wse_sim.report.headline import headline
from wse_sim.report.html import write_report
from wse_sim.report.simulation_files import write_simulation
from wse_sim.report.sweep_words import MEASURED_UNIT
from wse_sim.sweeps.page import write_sweep_page
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.sweep import Row, Sweep

WIDE, PHONE = 1200, 390
READABLE, DISTINCT = 4.5, 3.0  # contrast of text, and of what is drawn: WCAG 2.2, levels AA
EVIL = '<script>alert("1")</script> <img src=x onerror=alert(2)> $x_1$ ]]> javascript:alert(3)'
# The words with which each plot begins to say what it shows.
PLOTS = {
    "run": (
        *("Training loss falls", "Training loss reaches", "Loss reaches", "Share of the time", "Density of"),
        *("Imbalance of", "What tokens/s"),
    ),
    "simulation": ("Share of the time", "What tokens/s"),
    "runs": (
        *("Loss against tokens", "Loss against simulated time on the wafer", "Loss against simulated time on the GPU"),
        *(
            "validation loss here, nats/byte against time",
            "validation loss here, nats/byte against cost",
            "What tokens/s",
            "What tokens/s",
        ),
    ),
    "compare": ("Projected loss", "What tokens/s", "What tokens/s"),
    "plan": (" configurations from", "What days"),
    "sweep": ("cost against all steps", "energy against tokens/s", "How ", "How "),
    "trained sweep": (
        "measured val loss, nats/byte against simulated all steps",
        "measured val loss, nats/byte against simulated cost",
        "How ",
        "How ",
    ),
}
SECTIONS = ("How far to trust the simulator", "Assumed constants", "To do it again")


def write_swept(folder: Path) -> Path:
    """A sweep over wafers of two kinds, some of which do not fit."""
    words = ("--model", "111m,256m", "--num-csx", "1,2", "--density", "1,0.25", "--batch-size", "240")
    words += ("--system", "cs2,cs3", "--seq-len", "2048,4096")
    result = call("sweep", *words, "--out", str(folder / "sweep.csv"))
    assert result.exit_code == 0, result.output
    return folder / "sweep.csv.html"


def write_trained(folder: Path) -> Path:
    """The table of a sweep that trained, made up, beside the folder of one of its runs."""
    write_run(folder / "0-run", simulation())
    write_report(folder / "0-run")
    points = tuple({"model": "111m", "density": d, "schedule": s} for d in (1.0, 0.25) for s in ("linear", "cosine"))
    names = ("run", *MEASURED_UNIT, "measured_host_s", "simulated_run_time_s", "simulated_cost_usd")
    values = [("0-run", 2.0, 9.0, 900.0, 20.0), ("1-run", 2.1, 9.0, 900.0, 20.0), ("2-run", 2.2, 9.0, 700.0, 16.0)]
    of_rows = [(run, loss, loss / math.log(2), *others) for run, loss, *others in values]
    rows = [Row(number, results=dict(zip(names, of, strict=True))) for number, of in enumerate(of_rows)]
    rows.append(Row(3, "diverged", f"the loss is nan: {EVIL}"))
    table = folder / "sweep.csv"
    run_sweep(Sweep(kind="measured", points=points, results=names), lambda todo: (yield rows), table, command=EVIL)
    return write_sweep_page(table)


@pytest.fixture(scope="session")  # a worker that comes back to these tests has them still
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    simulated = simulation()
    write_run(folder / "run", simulated, model=EVIL)
    write_comparison(folder / "runs", (1.0, 0.25))
    search = plan_found()
    return {
        "run": write_report(folder / "run"),
        "simulation": write_simulation(simulated, folder / "simulation", command="wse-sim simulate --model 111m")[-1],
        "runs": write_report(folder / "runs"),
        "compare": write_compare(compared(0.25), folder / "compare", command="wse-sim compare --model 1.3b")[-1],
        "plan": write_plan(folder / "plan", msgspec.to_builtins(plan_of(search)), search, command=EVIL)[-1],
        "sweep": write_swept(folder / "swept"),
        "trained sweep": write_trained(folder / "trained"),
    }


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on which everything is wrong that the tests say is right."""
    path = tmp_path_factory.mktemp("control") / "control.html"
    path.write_text(
        '<title>bad</title><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        "'unsafe-inline'\"><body style='color: #ccc; background: #fff'><h1>One</h1><h3>Three</h3><svg></svg>"
        '<img src="https://example.invalid/x.png"><div style="width: 2000px">wide</div><div class="scroll">x</div>',
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def browsed(
    pages: dict[str, Path], control: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[tuple[str, int], dict[str, Any]], dict[str, dict[str, Any]], list[str]]:
    """All pages in light, at both widths; in dark, on a phone; and what any of them put on the console."""
    folder = tmp_path_factory.mktemp("browser")
    light, said = laid_out(pages | {"control": control}, folder, widths=(WIDE, PHONE), scheme="light")
    dark, said_in_dark = laid_out(pages, folder, widths=(PHONE,), scheme="dark")
    assert not said_in_dark
    return light, {name: of for (name, _), of in dark.items()}, said


@pytest.fixture(scope="module")
def light(browsed: Any) -> dict[tuple[str, int], dict[str, Any]]:
    found: dict[tuple[str, int], dict[str, Any]] = browsed[0]
    return {key: of for key, of in found.items() if key[0] != "control"}


@pytest.fixture(scope="module")
def wide(light: dict[tuple[str, int], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: of for (name, width), of in light.items() if width == WIDE}


def test_the_harness_sees_what_is_wrong_with_a_page(browsed: Any, control: Path) -> None:
    light, _, said = browsed
    found = light["control", PHONE]
    assert found["overflow"] > 1500
    assert found["least_contrast"]["ratio"] < READABLE
    assert (found["unlabelled"], found["unreachable"], found["lang"]) == (1, 1, "")
    assert [level for level, _ in found["headings"]] == [1, 3]
    assert any("Content Security Policy" in line for line in said)


def test_no_page_puts_anything_on_the_console_or_asks_for_anything(browsed: Any, control: Path) -> None:
    """Each page forbids itself whatever is not in it, so a request would be an error there."""
    of_pages = [line for line in browsed[2] if "example.invalid" not in line]
    assert of_pages == []
    assert {of["scripts"] for (name, _), of in browsed[0].items() if name != "control"} == {0}


def test_every_promised_plot_is_seen_and_says_in_words_what_it_shows(light: dict[tuple[str, int], Any]) -> None:
    for (name, width), page in light.items():
        labels = [figure["labels"] for figure in page["figures"]]
        assert all(len(of) == 1 for of in labels), f"{name} at {width}: one drawing of a plot is seen"
        assert len(labels) == len(PLOTS[name]), f"{name}: {labels}"
        for (label,), begins in zip(labels, PLOTS[name], strict=True):
            assert begins in label[:60], f"{name}: {label}"
        assert all(figure["n_marks"] >= 3 for figure in page["figures"]), f"{name} at {width}: a plot is empty"
        assert page["unlabelled"] == 0


def test_behind_every_plot_the_keyboard_opens_a_table_with_the_rows_that_it_says(
    light: dict[tuple[str, int], Any],
) -> None:
    for (name, width), page in light.items():
        for figure in page["figures"]:
            assert figure["is_focused"], f"{name}: {figure['caption']}"
            assert not figure["was_open"]
            said = int(figure["summary"].removeprefix("Numbers: ").split()[0].replace(",", ""))
            assert figure["n_rows"] == said > 0, f"{name} at {width}: {figure['caption']}"
        assert page["unreachable"] == 0


def test_no_page_is_wider_than_a_phone_nor_with_all_tables_open(light: dict[tuple[str, int], Any]) -> None:
    assert {key: page["overflow"] for key, page in light.items() if page["overflow"] > 0} == {}
    assert {key: page["overflow_opened"] for key, page in light.items() if page["overflow_opened"] > 0} == {}
    assert all(page["width"] <= width for (_, width), page in light.items())


def test_tables_are_whole_where_the_page_has_room_and_both_sides_also_on_a_phone(
    light: dict[tuple[str, int], Any], wide: dict[str, Any]
) -> None:
    assert {name: page["cut"] for name, page in wide.items() if page["cut"] and "sweep" not in name} == {}
    assert "both sides, figure by figure" not in light["compare", PHONE]["cut"]
    assert light["runs", PHONE]["cut"] == ["comparison of the runs"]


def test_a_page_explains_the_words_that_its_figures_have(wide: dict[str, Any]) -> None:
    for name, page in wide.items():
        assert sorted(page["legend"]) == sorted(page["tags"]), name
        assert page["tags"], name


def test_light_and_dark_differ_and_both_can_be_read(browsed: Any, light: dict[tuple[str, int], Any]) -> None:
    dark: dict[str, Any] = browsed[1]
    for name, in_dark in dark.items():
        in_light = light[name, PHONE]
        assert in_light["background"] != in_dark["background"]
        for page in (in_light, in_dark):
            assert page["least_contrast"]["ratio"] >= READABLE, f"{name}: {page['least_contrast']}"
            assert page["least_series_contrast"] >= DISTINCT, name


def test_headings_come_in_order_and_every_page_says_what_it_stands_on(wide: dict[str, Any]) -> None:
    for name, page in wide.items():
        levels = [level for level, _ in page["headings"]]
        assert levels.count(1) == 1 == levels[0]
        assert all(after - before <= 1 for before, after in pairwise(levels)), name
        titles = [title for level, title in page["headings"] if level == 2]
        assert len(titles) == len(set(titles))
        assert set(SECTIONS) <= set(titles), name
        assert (page["lang"], bool(page["title"])) == ("en", True)


def number(words: str) -> float:
    """The first number of a figure, without its unit."""
    return float(words.split()[0].strip("$×").replace(",", ""))


@pytest.mark.parametrize("name", ["run", "simulation"])
def test_the_figures_of_the_table_are_those_of_the_summary(
    name: str, pages: dict[str, Path], wide: dict[str, Any]
) -> None:
    file = "summary.json" if name == "run" else "simulation.json"
    summary: Mapping[str, Any] = json.loads((pages[name].parent / file).read_text(encoding="utf-8"))
    assert wide[name]["headline"] == [[line.name, " ".join(line.value.split())] for line in headline(summary)]
    shown, simulated = dict(wide[name]["headline"][::-1]), summary["simulated"]  # of two of a name the first
    assert number(shown["tokens/s"]) == pytest.approx(simulated["tokens_per_s"], rel=5e-3)
    assert number(shown["step"]) == pytest.approx(1e3 * simulated["step_time_s"], rel=5e-3)
    assert number(shown["MFU"]) == pytest.approx(100 * simulated["mfu"], abs=0.05)
    assert number(shown["cost"]) == pytest.approx(simulated["cost_usd"], abs=0.5)
    if name == "run":
        assert number(shown["validation loss"]) == pytest.approx(summary["measured"]["val_loss"], abs=5e-4)
        assert number(shown["at this density"]) == pytest.approx(summary["projected"]["value"], abs=5e-4)


def test_the_tables_of_a_run_are_those_of_its_files(pages: dict[str, Path], wide: dict[str, Any]) -> None:
    folder, tables = pages["run"].parent, wide["run"]["tables"]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    last = json.loads((folder / "run.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    for first in ("step", "tokens", "training loss"):
        table = next(table for table in tables if table[0][0] == first and len(table) > 10)
        assert f"{last['loss']:.4f}" in table[-1]
    for field in ("density", "imbalance"):
        (table,) = (table for table in tables if table[0] == ["block", "layer", field])
        masks = summary["layer_masks"]
        words = [mask["matrix"].replace("_", " ") for mask in masks]  # those of the legend
        assert table[1:] == [[str(m["block"]), word, f"{m[field]:.4f}"] for m, word in zip(masks, words, strict=True)]
    (constants,) = (table for table in tables if table[0] == ["constant", "value", "range", "source"])
    listed = {cells[0]: cells[3] for cells in constants[1:]}
    for side, operations in (("simulated", "operations"), ("simulated_gpu", "")):
        for name, constant in summary[side]["assumed_constants"].items():
            assert listed[name] == " ".join(constant["source"].split())
        for name in summary[side].get("assumed_operations", ()):
            assert listed[f"{operations}.{name}"]


def test_the_best_row_of_a_sweep_is_that_of_its_table(pages: dict[str, Path], wide: dict[str, Any]) -> None:
    with (pages["sweep"].parent / "sweep.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
    best = max(rows, key=lambda row: float(row["tokens_per_s"]))
    table = next(table for table in wide["sweep"]["tables"] if "tokens/s" in table[1])
    shown = dict(zip(table[1], table[2], strict=True))
    assert (shown["model"], shown["system"], shown["num csx"]) == (best["model"], best["system"], best["num_csx"])
    assert number(shown["cost"]) == pytest.approx(float(best["cost_usd"]), rel=5e-3)


def test_what_users_wrote_is_text(wide: dict[str, Any]) -> None:
    assert EVIL in wide["run"]["title"]
    assert any(EVIL in cell for table in wide["trained sweep"]["tables"] for row in table for cell in row)


def test_pages_are_small(pages: dict[str, Path]) -> None:
    assert {name: path.stat().st_size for name, path in pages.items() if path.stat().st_size > 1_000_000} == {}
