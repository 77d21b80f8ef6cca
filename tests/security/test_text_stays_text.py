"""Whatever a name holds, pages, drawings, tables, cards and terminals show it: none of it is obeyed."""

import csv
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table
from rich.text import Text

from models.parametrization import BASES, Parametrization
from tests.planning.questions import found as plan_found
from tests.report.run_directory import simulation, write_comparison, write_run
from tests.report.test_sweep_page import swept
from training.exported import Export
from training.model_card import model_card
from wse_sim.cli.terminal import console, printable
from wse_sim.planning.planner import plan_of
from wse_sim.report.html import render_comparison_report, render_run_report
from wse_sim.report.markup import bullets, details, facts, link, page, paragraph, section, table
from wse_sim.report.plan_page import plan_page
from wse_sim.report.simulation_files import write_simulation
from wse_sim.report.spreadsheet import inert, word_of
from wse_sim.report.svg import plot
from wse_sim.report.sweep_page import sweep_page
from wse_sim.spec.load import load_model
from wse_sim.sweeps.sweep import Row, Sweep
from wse_sim.sweeps.table import read_table, write_table

EVIL = (
    "<script>alert(\"1\")</script><img src=x onerror='alert(2)'>&lt;b&gt; &amp; ]]></svg></table></title>--> $x^2$ "
    '\\frac javascript:alert(3) " id="q" #010101 \u2028 \x1b[31mred\x1b[0m \x1b]8;;http://x.invalid\x07here\x9b2J'
    " [bold] \u202eleft"
)
NAMES = st.one_of(st.text(min_size=1), st.sampled_from([EVIL, "=1+1", "$", "_x", "a|b", "`code`", "[x](javascript:y)"]))
SAFE_SCHEMES = re.compile(r"(#|[^:]*$)")


class Seen(HTMLParser):
    """Elements, addresses and text of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def is_quiet(content: str) -> bool:
    """Whether nothing on a page runs and nothing leads elsewhere."""
    seen = Seen(content)
    return (
        not {"script", "img", "iframe", "object"} & seen.elements.keys()
        and not seen.handlers
        and all(SAFE_SCHEMES.match(address) for address in seen.addresses)
    )


@given(name=NAMES)
def test_every_piece_of_a_page_shows_a_name_as_it_is(name: str) -> None:
    parts = [
        paragraph(name),
        bullets([name]),
        facts([(name, name)]),
        table((name,), [(name,)], label=name, right=(name,)),
        section(name, details(name, "")),
        f"<p>{link(f'{name}/report.html', name)}</p>",
    ]
    plain = [
        paragraph("x"),
        bullets(["x"]),
        facts([("x", "x")]),
        table(("x",), [("x",)], label="x", right=("x",)),
        section("x", details("x", "")),
        f"<p>{link('x/report.html', 'x')}</p>",
    ]
    for written, expected in zip(parts, plain, strict=True):
        seen = Seen(written)
        assert seen.elements == Seen(expected).elements
        assert name in seen.text
        assert all(SAFE_SCHEMES.match(address) for address in seen.addresses)
    assert Seen(page(name, "")).elements == Seen(page("x", "")).elements


@settings(max_examples=10)
@given(name=NAMES.filter(lambda name: name.strip() and "\n" not in name and "\r" not in name))
def test_a_drawing_shows_a_name_as_it_is(name: str) -> None:
    def draw(axes: Any) -> None:
        axes.plot([1, 2], [1, 2], label="line")
        axes.set_title(name)
        axes.set_yticks([1, 2], [name, "b"])
        axes.legend()

    drawn = plot(draw, "alt", ("a",), [], salt="salt")
    for svg in (drawn.wide, drawn.narrow):
        seen = Seen(svg)
        assert seen.words.count(name) == 2
        assert seen.elements["text"] == Seen(svg.replace(name, "x")).elements["text"]
        assert not seen.handlers


def evil(content: Any, keys: tuple[str, ...]) -> Any:
    """The content with `EVIL` behind whatever users may name."""
    if isinstance(content, dict):
        return {
            key: f"{value}{EVIL}" if key in keys and isinstance(value, str) else evil(value, keys)
            for key, value in content.items()
        }
    return [evil(value, keys) for value in content] if isinstance(content, list) else content


NAMED = (
    "model",
    "command",
    "schedule",
    "version",
    "cpu",
    "source",
    "gpu_software",
    "software",
    "parametrization",
    "name",
)


def changed(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(evil(content, NAMED)), encoding="utf-8")


def require_same_page(content: str, plain: str, *, n_named: int) -> None:
    """The page has the elements that it has without the names, runs nothing, and shows the names so often at least."""
    assert Seen(content).elements == Seen(plain).elements
    assert is_quiet(content)
    assert Seen(content).text.count(EVIL) >= n_named


def test_the_page_of_a_run_shows_what_users_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", simulation())
    plain = render_run_report(tmp_path / "run")
    changed(tmp_path / "run" / "summary.json")
    content = render_run_report(tmp_path / "run")
    require_same_page(content, plain, n_named=8)


def test_the_page_of_a_simulation_shows_what_users_named(tmp_path: Path) -> None:
    write_simulation(simulation(), tmp_path / "simulation", command=f"wse-sim simulate --model {EVIL}")
    plain = (tmp_path / "simulation" / "report.html").read_text(encoding="utf-8")
    changed(tmp_path / "simulation" / "simulation.json")
    content = render_run_report(tmp_path / "simulation")
    require_same_page(content, plain, n_named=4)


def test_the_page_of_several_runs_shows_what_users_named(tmp_path: Path) -> None:
    write_comparison(tmp_path / "runs", (1.0, 0.25))
    plain = render_comparison_report(tmp_path / "runs")
    changed(tmp_path / "runs" / "comparison.json")
    content = render_comparison_report(tmp_path / "runs")
    require_same_page(content, plain, n_named=4)


def test_the_page_of_a_plan_shows_what_users_named() -> None:
    plan = msgspec.to_builtins(plan_of(plan_found()))
    plain, content = plan_page(plan), plan_page(evil(plan, NAMED))
    require_same_page(content, plain, n_named=1)


def test_the_page_of_a_sweep_shows_what_users_named() -> None:
    words = {**swept().words, "model": [f"{EVIL}{number % 2}" for number in range(6)], "reason": [None] * 5 + [EVIL]}
    numbers = swept().numbers
    runs = {**words, "run": [f"javascript:alert({number})" for number in range(6)]}
    plain_words = {**words, "model": [str(number % 2) for number in range(6)], "reason": [None] * 5 + ["x"]}
    plain = sweep_page(swept(words=plain_words, numbers=numbers), {}, lambda run: False)
    content = sweep_page(swept(words=words, command=EVIL), {}, lambda run: False)
    require_same_page(content, plain, n_named=10)
    linked = sweep_page(swept(words=runs), {}, lambda run: True)
    assert is_quiet(linked)
    assert "javascript%3Aalert%280%29/report.html" in Seen(linked).addresses


# ---- terminals -------------------------------------------------------------------------------------------------------


def is_inert(text: str) -> bool:
    """Whether a terminal shows all of it."""
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


@given(text=st.one_of(st.text(), st.just(EVIL)))
def test_what_is_said_on_a_terminal_is_shown_and_not_obeyed(text: str) -> None:
    assert is_inert(printable(text))
    assert printable(printable(text)) == printable(text)
    if is_inert(text):
        assert printable(text) == text


@pytest.mark.parametrize("colours", ["1", ""])
def test_a_table_on_a_terminal_shows_a_name_and_does_not_obey_it(monkeypatch: pytest.MonkeyPatch, colours: str) -> None:
    monkeypatch.setenv("FORCE_COLOR", colours)
    grid = Table(title=EVIL)
    grid.add_column(EVIL)
    grid.add_row(EVIL)
    grid.add_row(Text(EVIL, "bold"))
    stream = io.StringIO()
    drawn = console(stream)
    drawn.width = 400
    drawn.print(grid)
    drawn.print(EVIL)
    said = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())  # the styles that rich writes itself
    assert is_inert(said)
    assert said.count("\N{SYMBOL FOR ESCAPE}[31mred") == 5
    assert "[bold]" in said


# ---- tables and cards ------------------------------------------------------------------------------------------------


@given(word=st.one_of(st.text(), st.text("='+-@\t", min_size=1)))
def test_no_word_in_a_cell_is_a_formula_and_every_word_comes_back(word: str) -> None:
    assert not inert(word).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert word_of(inert(word)) == word


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl"])
def test_a_table_keeps_formulas_as_words(tmp_path: Path, suffix: str) -> None:
    words = ["=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-x", "'=quoted", "plain"]
    sweep = Sweep(kind="simulated", points=tuple({"model": "111m", "system": word} for word in words), results=("x",))
    rows = [Row(number, "infeasible", word, {"x": -1.5}) for number, word in enumerate(words)]
    path = tmp_path / f"table{suffix}"
    write_table(path, sweep, rows)
    assert list(read_table(path, sweep)) == rows
    if suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == ["-1.5"] * len(words)


@given(name=NAMES)
def test_a_card_of_a_model_shows_its_name_and_has_no_markup_of_it(name: str) -> None:
    shape = load_model("111m").shape
    export = Export(
        run=name,
        step=1,
        checkpoint_sha256="0",
        architecture="GPT2LMHeadModel",
        dtype="fp32",
        is_sparse=False,
        is_untied=False,
        n_bytes=1,
        density=1.0,
        params=1,
        nonzero_params=1,
        data=name,
        tokenizer=name,
        tokenizer_sha256=None,
        tokens=1,
        val_loss=None,
        shape=msgspec.structs.replace(shape, name=name),
        parametrization=Parametrization(name="smupar", base=BASES["bytes-64"]),
    )
    card = model_card(export)
    head, _, body = card.removeprefix("---\n").partition("---\n")
    assert head == "library_name: transformers\npipeline_tag: text-generation\ntags:\n- wse-sim\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = Counter(token.type for token in tokens)
    inside = Counter(child.type for token in tokens for child in token.children or ())
    assert (kinds["heading_open"], kinds["tr_open"], kinds["html_block"]) == (4, 8, 0)
    assert not {"html_inline", "link_open", "image", "strong_open", "em_open", "s_open"} & inside.keys()
