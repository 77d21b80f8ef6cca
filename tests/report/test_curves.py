"""Figures of curves: the same bytes each time, every label once, readable in grey."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.report.curves import COLOURS, Curve, Panel, write_curves

X = (0.25, 0.5, 1.0)


def panel(title: str = "SP", *labels: str, **scales: str) -> Panel:
    curves = [Curve(label=label, x=X, y=[n + x for x in X]) for n, label in enumerate(labels or ("a", "b"))]
    return Panel(title=title, x_label="density", y_label="loss", curves=curves, **scales)


def svg(path: Path, *panels: Panel, title: str = "") -> str:
    write_curves(panels, path, title=title)
    return path.read_text(encoding="utf-8")


def words(drawing: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", drawing)


def size(drawing: str) -> tuple[float, float]:
    view_box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', drawing)
    assert view_box is not None
    return float(view_box[1]), float(view_box[2])


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_curves_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        write_curves([panel(), panel("μP")], path, title="Loss")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_svg_holds_title_labels_and_each_legend_entry_once(tmp_path: Path) -> None:
    found = words(svg(tmp_path / "f.svg", panel("SP", "dense", "sparse"), panel("μP", "dense"), title="All runs"))
    for word, n in (("All runs", 1), ("SP", 1), ("μP", 1), ("dense", 1), ("sparse", 1), ("density", 2), ("loss", 2)):
        assert found.count(word) == n, word


def test_a_label_keeps_its_colour_in_every_panel(tmp_path: Path) -> None:
    drawing = svg(tmp_path / "f.svg", panel("SP", "a", "b"), panel("μP", "b", "a"))
    # Two labels get the two ends of the colours; each is drawn once per panel and once in the legend.
    for colour in (COLOURS[0], COLOURS[-1]):
        assert len(re.findall(rf"<path[^>]*stroke: {colour}", drawing)) == 3


def test_no_label_means_no_legend_entry(tmp_path: Path) -> None:
    drawing = svg(tmp_path / "f.svg", panel("SP", ""))
    assert "legend" not in drawing


def test_intervals_are_bars_on_marks_and_bands_on_lines(tmp_path: Path) -> None:
    interval = {"x": X, "y": (1, 2, 3), "low": (0, 1, 2), "high": (2, 3, 4)}
    for is_marked in (True, False):
        curve = Curve(label="a", is_marked=is_marked, **interval)
        drawing = svg(
            tmp_path / f"{is_marked}.svg", Panel(title="t", x_label="x", y_label="y", curves=[curve], x_scale="log2")
        )
        assert ("FillBetweenPolyCollection" in drawing) != is_marked
        assert ("LineCollection" in drawing) == is_marked


@pytest.mark.parametrize(
    ("x", "scale", "ticks"),
    [
        ((2**-9, 2**-8, 2**-7, 2**-6), "log2", ["2⁻⁹", "2⁻⁸", "2⁻⁷", "2⁻⁶"]),
        ((64, 128, 256), "log2", ["64", "128", "256"]),
        ((1e6, 1e8, 1e9), "log10", ["10⁶", "10⁷", "10⁸", "10⁹"]),
        ((0.01, 0.1, 1.0), "log10", ["0.01", "0.1", "1"]),
        ((1.0, 5.0, 20.0), "log10", ["1", "2", "5", "10", "20"]),
        ((2.0, 3.0, 6.0), "log10", ["2", "3", "4", "5", "6"]),
    ],
)
def test_logarithmic_axes_have_ticks_to_read_from(
    tmp_path: Path, x: tuple[float, ...], scale: str, ticks: list[str]
) -> None:
    curve = Curve(label="", x=x, y=[0.0] * len(x), is_marked=True)
    drawing = svg(tmp_path / "f.svg", Panel(title="t", x_label="x", y_label="y", curves=[curve], x_scale=scale))
    x_axis = drawing[drawing.index('id="matplotlib.axis_1"') : drawing.index('id="matplotlib.axis_2"')]
    shown = words(x_axis)
    assert [word for word in shown if word in ticks] == ticks


def test_at_most_three_panels_stand_in_a_row_and_rows_are_even(tmp_path: Path) -> None:
    sizes = {n: size(svg(tmp_path / f"{n}.svg", *[panel()] * n)) for n in (2, 3, 4, 6)}
    assert sizes[4][0] == sizes[2][0]  # two rows of two
    assert sizes[6][0] == sizes[3][0]
    assert sizes[4][1] > 1.5 * sizes[2][1]
    assert sizes[3][1] == sizes[2][1]


def test_colours_grow_lighter_so_that_grey_tells_them_apart() -> None:
    greys = []
    for colour in COLOURS:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        greys.append(0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2)
    lightness = [116 * grey ** (1 / 3) - 16 for grey in greys]  # CIE L*
    assert all(after - before > 7 for before, after in pairwise(lightness))
    assert lightness[-1] < 75  # still seen on white


@pytest.mark.parametrize("name", ["f.pdf", "f"])
def test_other_kinds_of_file_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"\.svg or a \.png"):
        write_curves([panel()], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no/f\.svg: cannot be written"):
        write_curves([panel()], tmp_path / "no" / "f.svg")
