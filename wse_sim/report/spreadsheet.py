"""Words in cells of CSV that spreadsheet programs open: what begins like a formula would be worked out there."""

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTE = "'"  # which spreadsheets take for "this is text"


def inert(word: str) -> str:
    """The word as a cell that is text in a spreadsheet too.

    Source: OWASP, CSV injection.
    """
    return f"{_QUOTE}{word}" if word.lstrip(_QUOTE).startswith(_BEGINS_A_FORMULA) else word


def word_of(cell: str) -> str:
    """The word of which `inert` made the cell."""
    return cell[1:] if cell.startswith(_QUOTE) and inert(cell[1:]) == cell else cell
