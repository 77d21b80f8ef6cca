"""Laws of the report: one whole document, nothing from outside, nothing of the user's read as markup."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree  # the figures are our own XML
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.report.run_directory import simulation, write_comparison, write_run
from wse_sim.errors import SpecError
from wse_sim.report.fields import field_tables
from wse_sim.report.html import render_comparison_report, render_run_report, write_report
from wse_sim.report.markup import command_line
from wse_sim.report.mask_section import mask_section
from wse_sim.report.simulation_files import write_simulation
from wse_sim.report.trust_sections import OF_A_PLAN, OF_A_RUN, OF_RUNS, assumed_section
from wse_sim.spec.operations import load_operations

PLOTS = ("steps", "tokens", "time", "timeline", "density", "imbalance", "tornado")
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Document(HTMLParser):
    """Checks that every element is closed in order, and collects what a test asks about."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset", "action"):
                self.addresses.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "run"
    write_run(path, simulation())
    return path


@pytest.fixture(scope="module")
def report(run_dir: Path) -> str:
    return render_run_report(run_dir)


def changed(run_dir: Path, tmp_path: Path, **changes: object) -> Path:
    """A copy of the run with parts of its summary replaced; None takes one out."""
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8")) | changes
    summary = {key: value for key, value in summary.items() if value is not None}
    for name in ("run.jsonl", "trace.json"):
        (tmp_path / name).write_bytes((run_dir / name).read_bytes())
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return tmp_path


def test_report_is_well_formed_with_unique_ids(report: str) -> None:
    document = Document(report)
    assert document.open == []
    assert len(document.ids) == len(set(document.ids)) > 0
    drawings = re.findall(r"<svg.*?</svg>", report, flags=re.DOTALL)
    assert len(drawings) == 2 * len(PLOTS)
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # noqa: S314 - our own drawing


def test_report_needs_nothing_from_outside(report: str) -> None:
    document = Document(report)
    assert not {"script", "link", "img", "iframe", "object"} & set(document.tags)
    assert all(address.startswith("#") for address in document.addresses)
    assert "url(http" not in report
    assert "@import" not in report


def test_report_is_small(report: str) -> None:
    assert len(report.encode()) < 3_000_000


def test_same_files_give_same_bytes(run_dir: Path, report: str) -> None:
    assert render_run_report(run_dir) == report


def test_report_says_the_three_words_and_the_provenance(report: str) -> None:
    words = " ".join(Document(report).words)
    for word in ("measured", "simulated", "projected", "swarmx.fan_out", "abab", "depth beyond 4 layers", "dp 16"):
        assert word in words


@pytest.mark.usefixtures("undrawn")
def test_every_assumed_constant_has_the_source_that_the_run_was_simulated_with(run_dir: Path, tmp_path: Path) -> None:
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    for side in ("simulated", "simulated_gpu"):
        constants = summary[side]["assumed_constants"]
        assert list(constants) == summary[side]["assumed"]
        for number, constant in enumerate(constants.values()):
            constant["source"] = f"{side} source {number}"
    words = _words_of(tmp_path / "ours", summary)
    assert "simulated source 0" in words
    assert "simulated_gpu source 0" in words
    for side in ("simulated", "simulated_gpu"):
        del summary[side]["assumed_constants"]  # as of a version that had names alone
    assert "swarmx.fan_out" in _words_of(tmp_path / "older", summary)


def _words_of(run_dir: Path, summary: dict[str, Any]) -> str:
    """Of the page of a run with this summary."""
    run_dir.mkdir()
    (run_dir / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return " ".join(Document(render_run_report(run_dir)).words)


def test_no_drawing_colour_is_left_over(report: str) -> None:
    assert not re.search(r"#0101[01][0-9]", report)


def test_every_plot_has_words_and_numbers(report: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", report, flags=re.DOTALL)
    assert len(figures) == len(PLOTS)
    for figure in figures:
        assert len(re.findall(r'role="img" aria-label="[^"]{20,}', figure)) == 2
        shown = re.search(r"<summary>Numbers: ([\d,]+) rows?</summary>", figure)
        assert shown
        assert figure.count("<tr>") == int(shown[1].replace(",", "")) + 1


def test_what_the_user_wrote_stays_text(run_dir: Path, tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>'
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    target = {**summary["target"], "model": evil, "hyper_parameters": {evil: evil}}
    choice = {**summary["choice"], "reasons": [evil], "not_covered": [evil]}
    measured = {**summary["measured"], "corpus": {"name": evil, "n_files": 1, "n_bytes": 1, "sha256": evil}}
    path = changed(run_dir, tmp_path, target=target, choice=choice, measured=measured, command=evil, version=evil)
    document = Document(render_run_report(path))
    assert "script" not in document.tags
    assert "".join(document.words).count(evil) >= 8


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("part", ["projected", "simulated_gpu", "choice", "measured", "simulated", "target"])
def test_report_does_without_any_one_part(run_dir: Path, tmp_path: Path, part: str) -> None:
    assert Document(render_run_report(changed(run_dir, tmp_path, **{part: None}))).open == []


@pytest.mark.usefixtures("undrawn")
def test_report_does_without_curve_and_trace(run_dir: Path, tmp_path: Path) -> None:
    path = changed(run_dir, tmp_path)
    (path / "run.jsonl").unlink()
    (path / "trace.json").unlink()
    drawn = re.findall(r'class="wide" role="img" aria-label="(\w+)', render_run_report(path))
    assert drawn == ["Density", "Imbalance", "What"]


def test_a_last_row_that_was_cut_off_is_left_out(run_dir: Path, tmp_path: Path, report: str) -> None:
    path = changed(run_dir, tmp_path)
    with (path / "run.jsonl").open("a", encoding="utf-8") as rows:
        rows.write('{"step": 1505, "lo')
    assert render_run_report(path) == report


def test_a_broken_row_in_the_middle_is_named(run_dir: Path, tmp_path: Path) -> None:
    path = changed(run_dir, tmp_path)
    lines = (path / "run.jsonl").read_text(encoding="utf-8").splitlines()
    lines[6] = "{"
    (path / "run.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SpecError, match="line 7"):
        render_run_report(path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no summary\.json"):
        write_report(tmp_path)
    (tmp_path / "run.jsonl").touch()
    with pytest.raises(SpecError, match="which a Python program trained"):
        write_report(tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_comparison_has_a_row_per_run_and_links_to_their_pages(tmp_path: Path) -> None:
    write_comparison(tmp_path, (1.0, 0.25))
    write_report(tmp_path / "density-0.25")
    document = Document(write_report(tmp_path).read_text(encoding="utf-8"))
    assert document.open == []
    assert "density-0.25/report.html" in document.addresses
    assert "density-1/report.html" not in document.addresses
    words = "".join(document.words)
    assert "density 0.25, cosine" in words
    assert render_comparison_report(tmp_path) == render_comparison_report(tmp_path)


def test_a_page_says_why_the_masks_that_trained_and_those_of_the_simulated_step_are_of_other_imbalance() -> None:
    work = {"matrix": "qkv", "density": 0.25, "imbalance": 1.188, "speedup": 3.1, "limit": "imbalance"}
    simulated = {"density": 0.25, "masks": "random", "matrices": [work]}
    mask = {"block": 0, "matrix": "qkv", "density": 0.25, "imbalance": 1.1728}
    said = "has masks of its own (random), drawn at full size"
    assert said in mask_section({"simulated": simulated, "layer_masks": [mask]})
    assert said not in mask_section({"simulated": simulated})
    trained = {**simulated, "masks": "of a trained run, at step 5"}
    assert "masks of its own" not in mask_section({"simulated": trained, "layer_masks": [mask]})


def test_a_simulation_alone_has_a_page_which_report_makes_again(tmp_path: Path) -> None:
    simulated = simulation(density=1.0)
    content, trace, page = write_simulation(simulated, tmp_path / "out", command="wse-sim simulate --model 111m")
    assert [path.name for path in (content, trace, page)] == ["simulation.json", "trace.json", "report.html"]
    written = json.loads(content.read_text(encoding="utf-8"))
    assert written["simulated"] == simulated.result.as_dict()
    assert "layer_masks" not in written
    first = page.read_bytes()
    assert write_report(tmp_path / "out").read_bytes() == first
    words = " ".join(Document(first.decode()).words)
    assert "111m dense on 2 × CS-2" in words
    assert "What ran here" not in words


def test_a_simulation_is_not_written_over_something_else(run_dir: Path) -> None:
    with pytest.raises(SpecError, match=r"holds summary\.json, of another command"):
        write_simulation(simulation(), run_dir, command="")


def test_an_assumed_constant_of_the_operations_has_its_source(report: str) -> None:
    words = " ".join(Document(report).words)
    for name, constant in load_operations().assumed_constants.items():
        assert f"operations.{name}" in words
        assert constant.source in words
    never = load_operations().with_values("a test", system_mtbf_s=math.inf)
    assert "system_mtbf_s" in set(never.assumed) - set(never.assumed_constants)


def test_a_command_is_broken_at_its_spaces_alone_and_a_date_nowhere(report: str) -> None:
    line = "wse-sim plan --model 13b  --out runs/my-plan --objective 'time'"
    shown = command_line(line)
    assert "".join(Document(shown).words).strip() == line
    for word in ("--model", "--out", "runs/my-plan", "--objective"):
        assert f'<span class="whole">{word}</span>' in shown
    assert 'price of <span class="whole">2026-04</span>' in report
    css = (files("wse_sim.report") / "report.css").read_text(encoding="utf-8")
    assert ".whole { display: inline-block; max-width: 100%; }" in css


def test_columns_of_words_are_at_the_left_in_the_numbers_of_a_plot(report: str) -> None:
    for name in ("layer", "constant", "resource"):
        assert f'<th scope="col">{name}</th>' in report
        assert f'<th scope="col" class="number">{name}</th>' not in report
    assert '<th scope="col" class="number">imbalance</th>' in report


def test_a_page_says_what_the_parts_of_a_step_are(report: str) -> None:
    meanings = field_tables()["breakdown"]
    words = "".join(Document(report).words)
    for name in ("rounding", "logits"):
        assert f"{name}: {meanings[name].definition}" in words


def test_every_page_says_of_assumed_constants_what_is_true_there() -> None:
    constants = {"csx.clock_hz": None, "operations.detection_s": None, "power_lines.optimal_batch": None}
    run, plan, runs = (assumed_section(constants, said) for said in (OF_A_RUN, OF_A_PLAN, OF_RUNS))
    assert "range of tokens/s" in run
    assert "range of tokens/s" not in plan + runs
    assert "move the wall clock alone" in run
    assert "move the wall clock, and energy, carbon and cost with it" in plan
    assert "power_lines move the projected loss" in plan
    assert "Those of" not in assumed_section({"csx.clock_hz": None}, OF_A_PLAN)
