"""The page of a comparison: one whole document, the verdict first, nothing from outside."""

import re
import xml.etree.ElementTree as ElementTree  # the figures are our own XML

import msgspec
import pytest

from tests.comparison.sides import compared, measured_here, run
from tests.report.test_html import Document
from wse_sim.comparison import with_here
from wse_sim.report.comparison import Comparison
from wse_sim.report.comparison_lines import equal_loss_words, layout_cells, lines
from wse_sim.report.comparison_page import render_comparison
from wse_sim.report.quantities import significant

COMMAND = "wse-sim compare --model 1.3b --density 0.25"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    without = compared(0.25, with_two_four=True)
    return with_here(without, run(), measured_here(without.gpu))


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> str:
    return render_comparison(comparison, command=COMMAND)


def test_page_is_one_whole_document_that_needs_nothing_from_outside(page: str) -> None:
    document = Document(page)
    assert document.open == []
    assert len(document.ids) == len(set(document.ids)) > 0
    assert not {"script", "link", "img", "iframe", "object"} & set(document.tags)
    assert all(address.startswith("#") for address in document.addresses)
    assert not re.search(r"#0101[01][0-9]", page)
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # noqa: S314 - our own drawing


def test_the_same_comparison_gives_the_same_bytes(page: str, comparison: Comparison) -> None:
    assert render_comparison(comparison, command=COMMAND) == page


def test_the_verdict_comes_first_and_memory_last_in_it(page: str, comparison: Comparison) -> None:
    text = "".join(Document(page).words)
    sections = ["Verdict", "Side by side", "One step", "Loss against time", "What the throughput hangs on"]
    sections += ["Layouts of the GPUs", "What to know before using this", "Assumed constants", "To do it again"]
    places = [text.index(f"\n{name}\n") for name in sections]
    assert places == sorted(places)
    assert text.index(comparison.headline) < text.index("On 16 × H100 2:4 it fits") < text.index("Side by side")
    assert "On this machine it does not fit: needs 20.0 GB" in text


def test_every_note_every_figure_and_every_word_is_on_the_page(page: str, comparison: Comparison) -> None:
    text = "".join(Document(page).words)
    for note in comparison.notes:
        assert note in text
    assert "this machine: a made-up note" in text
    for line in lines(comparison):
        assert line.name in text
        assert all(cell in text for cell in line.cells.values())
    for word in ("measured", "simulated", "projected", "csx.attention_efficiency", "megatron.exposed_tensor_parallel"):
        assert word in text
    assert COMMAND in text


def test_every_assumed_constant_has_its_source_on_the_page() -> None:
    bought = compared(0.25, "purchase")
    constants = bought.assumed_constants
    assert set(constants) == {*bought.wafer.assumed, *bought.gpu.assumed} > {"economics.utilisation"}
    text = "".join(Document(render_comparison(bought, command=COMMAND)).words)
    for name, constant in constants.items():
        assert f"{name}" in text
        assert constant.source in text


def test_every_plot_has_words_and_numbers(page: str) -> None:
    assert page.count("<figure>") == page.count("<summary>Numbers: ") == 3
    assert len(re.findall(r'role="img" aria-label="[^"]{40,}', page)) >= 6


def test_what_a_user_named_stays_text(comparison: Comparison) -> None:
    evil = '<script>alert("1")</script>'
    named = msgspec.structs.replace(comparison, model=evil, notes=(evil,), headline=evil)
    document = Document(render_comparison(named, command=evil))
    assert "script" not in document.tags
    assert "".join(document.words).count(evil) >= 4


def test_a_sparse_run_says_what_the_dense_one_on_gpus_takes_to_its_loss(comparison: Comparison) -> None:
    dense, wafer = comparison.iso_loss["gpu_dense"], comparison.wafer
    assert dense.run_time_s is not None
    words = equal_loss_words(comparison)
    assert words.startswith("Projected, to the loss of the wafers' run: 16 × H100 dense take ")
    assert f"take {significant(dense.run_time_s / wafer.run_time_s)}× the time" in words
    unreached = {**comparison.iso_loss, "gpu_dense": msgspec.structs.replace(dense, run_time_s=None)}
    assert equal_loss_words(msgspec.structs.replace(comparison, iso_loss=unreached)).endswith("do not come to it.")
    assert equal_loss_words(compared(1.0)) == ""


def test_the_figures_of_this_machine_have_their_own_word(comparison: Comparison) -> None:
    words = {(line.group, line.name): (line.kind, line.here and line.here[1]) for line in lines(comparison)}
    assert words["Speed", "tokens/s"] == ("simulated", "measured")
    assert words["Run", "time of all steps"] == ("simulated", "projected")
    assert words["Run", "cost"] == ("simulated", "")
    assert words["At equal loss", "tokens"] == ("projected", "projected")


def test_layouts_are_in_the_words_of_their_options(comparison: Comparison) -> None:
    header, _ = layout_cells(comparison.layouts)
    assert header[4:8] == ("interleave", "microbatch", "recompute", "sharding")
    assert all(header)
