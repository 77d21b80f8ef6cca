"""Curves for a terminal, drawn in dots of braille: two by four in each character."""

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a character, from its top row down
_BLANK = 0x2800


def braille_plot(values: Sequence[float], *, n_columns: int, n_rows: int, top: float) -> list[str]:
    """The values from left to right as `n_rows` lines of `n_columns` characters, the highest first.

    Parameters
    ----------
    values :
        One or more, each in [0, top].
    """
    codes = [[_BLANK] * n_columns for _ in range(n_rows)]
    n_wide, n_high = 2 * n_columns, 4 * n_rows
    for x in range(n_wide):
        # Neighbours share a value, so that what jumps is drawn as a line.
        first = (len(values) - 1) * x // n_wide
        last = math.ceil((len(values) - 1) * (x + 1) / n_wide)
        seen = values[first : last + 1]
        lowest, highest = (round(end / top * (n_high - 1)) for end in (min(seen), max(seen)))
        for level in range(lowest, highest + 1):
            row, dot = divmod(n_high - 1 - level, 4)
            codes[row][x // 2] |= _DOTS[dot][x % 2]
    return ["".join(map(chr, row)) for row in codes]
