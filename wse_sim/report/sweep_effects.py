"""How each swept key moves a figure: pairs of points that differ in this key alone, and the ratios of their figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from wse_sim.report.quantities import change, counted, factor
from wse_sim.report.svg import FAINT, INK, PAGE, SERIES, Plot, plot
from wse_sim.report.sweep_table import SweepTable, Value
from wse_sim.report.sweep_words import heading, in_words

_MOST_KEYS, _MOST_VALUES = 8, 10
_NARROW = 1.5  # ratios within this are shown as percentages
_ROW, _AROUND = 19, 70  # points

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one value of a key makes of a figure, over the key's reference value.

    Parameters
    ----------
    n_pairs :
        Points that have a partner with the reference value, all other keys the same, both with a figure.
    ratio, low, high :
        Of a figure to the partner's: geometric mean, least and largest.
    """

    value: str
    n_pairs: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEffects:
    """What the values of one key make of a figure; the reference is the value with most figures, the first of those."""

    key: str
    reference: str
    n_values: int
    effects: tuple[Effect, ...]

    @property
    def span(self) -> float:
        """Largest change to either side, as a logarithm."""
        return max(abs(float(np.log(effect.ratio))) for effect in self.effects)


def effects(table: SweepTable, figure: str) -> list[KeyEffects]:
    """The effects of all varied keys that have pairs, the key that moves the figure most first."""
    codes = np.stack([_codes(table.words[key], table.values[key]) for key in table.varied], axis=1)
    numbers = np.where(table.numbers[figure] > 0, table.numbers[figure], np.nan)
    found = [_of_key(table, number, codes, numbers) for number in range(len(table.varied))]
    return sorted((of for of in found if of.effects), key=lambda of: -of.span)[:_MOST_KEYS]


def effects_plot(found: Sequence[KeyEffects], figure: str) -> Plot:
    """A row for each value of each key: mean, least and largest ratio to the key's reference value."""
    ratios = [ratio for of in found for effect in of.effects for ratio in (effect.low, effect.high)]
    is_narrow = max(ratios) < _NARROW and min(ratios) > 1 / _NARROW
    shown = (lambda ratio: change(ratio - 1)) if is_narrow else factor
    n_rows = sum(len(of.effects) + 1 for of in found)

    def draw(axes: Axes) -> None:
        axes.axvline(1.0, color=FAINT, linewidth=0.8)
        place, places, labels = 0, [], []
        for of in found:
            title = f"{heading(of.key)}, over {of.reference}"
            on_page = {"facecolor": PAGE, "edgecolor": "none", "pad": 1.0}
            at_left = {"transform": axes.get_yaxis_transform(), "va": "center", "bbox": on_page}
            axes.text(0.0, place + 0.15, title, color=INK, **at_left)  # type: ignore[arg-type]
            place += 1
            for effect in of.effects:
                axes.plot([effect.low, effect.high], [place, place], color=SERIES[0], linewidth=2.0, alpha=0.45)
                axes.plot([effect.ratio], [place], "o", markersize=5, color=SERIES[0])
                places.append(place)
                labels.append(effect.value)
                place += 1
        axes.set_yticks(places, labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(n_rows - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        _ratio_axis(axes, is_narrow=is_narrow, span=max(ratios) / min(ratios))
        axes.set_title(f"{heading(figure)}: change with one key alone", loc="left", fontsize=11, color=FAINT)

    rows = [
        (
            heading(of.key),
            effect.value,
            of.reference,
            shown(effect.ratio),
            shown(effect.low),
            shown(effect.high),
            f"{effect.n_pairs:,}",
        )
        for of in found
        for effect in of.effects
    ]
    most = found[0]
    alt = f"How {counted(len(found), 'key')} move {heading(figure)}; most does {heading(most.key)}: "
    alt += "; ".join(f"{effect.value} {shown(effect.ratio)}" for effect in most.effects) + f" over {most.reference}."
    header = ("key", "value", "over", "mean ratio", "least", "largest", "pairs")
    return plot(draw, alt, header, rows, salt=f"effects-{figure}", height=_AROUND + _ROW * n_rows, words=header[:3])


def _codes(cells: Sequence[Value], values: Sequence[Value]) -> Codes:
    number = {value: place for place, value in enumerate(values)}
    return np.fromiter((number[cell] for cell in cells), np.int64, len(cells))


def _of_key(table: SweepTable, column: int, codes: Codes, numbers: npt.NDArray[np.float64]) -> KeyEffects:
    key = table.varied[column]
    values, own = table.values[key], codes[:, column]
    n_of = np.bincount(own[~np.isnan(numbers)], minlength=len(values))
    most = {place for place in range(len(values)) if n_of[place] == n_of.max()}
    reference = next(place for place in own.tolist() if place in most)  # the first in the order of the points
    group = _groups(np.delete(codes, column, axis=1))
    partner = np.full(group.max() + 1, np.nan)
    is_partner = (own == reference) & ~np.isnan(numbers)
    partner[group[is_partner]] = numbers[is_partner]
    ratios = numbers / partner[group]
    chosen = _spread([place for place in range(len(values)) if place != reference and n_of[place]])
    found = [_effect(in_words(key, values[place], is_given=True), ratios[own == place]) for place in chosen]
    return KeyEffects(
        key=key,
        reference=in_words(key, values[reference], is_given=True),
        n_values=len(values),
        effects=tuple(effect for effect in found if effect.n_pairs),
    )


def _groups(codes: Codes) -> Codes:
    """(n,): the same number for points that have the same values of all of these keys."""
    group = np.zeros(len(codes), np.int64)
    for column in codes.T:
        _, group = np.unique(group * (int(column.max()) + 1) + column, return_inverse=True)
    return group


def _effect(value: str, ratios: npt.NDArray[np.float64]) -> Effect:
    known = np.log(ratios[~np.isnan(ratios)])
    if not known.size:
        return Effect(value=value, n_pairs=0, ratio=1.0, low=1.0, high=1.0)
    mean, low, high = (float(np.exp(log)) for log in (known.mean(), known.min(), known.max()))
    return Effect(value=value, n_pairs=known.size, ratio=mean, low=low, high=high)


def _spread(places: Sequence[int]) -> list[int]:
    """At most `_MOST_VALUES` of them, evenly taken, with both ends."""
    if len(places) <= _MOST_VALUES:
        return list(places)
    return [places[round(n * (len(places) - 1) / (_MOST_VALUES - 1))] for n in range(_MOST_VALUES)]


def _ratio_axis(axes: Axes, *, is_narrow: bool, span: float) -> None:
    if is_narrow:
        low, high = (ratio - 1 for ratio in axes.get_xlim())
        ticks = MaxNLocator(4).tick_values(low, high)  # of the change: no change is one of them
        axes.xaxis.set_major_locator(FixedLocator([1 + tick for tick in ticks if low <= tick <= high]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: change(ratio - 1)))
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 100 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
