"""What long work tells whoever watches it."""

from wse_sim.progress import Unwatched


class Heard(Unwatched):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[tuple[int, str, int]] = []
        self.n_came = 0
        self.notes: list[str] = []

    def begin(self, n_items: int, items: str, *, n_known: int = 0, work: float | None = None) -> None:
        self.begun.append((n_items, items, n_known))

    def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
        self.n_came += n_items
        self.notes.append(note)

    def say(self, line: str) -> None:
        self.lines.append(line)
