"""Where the program speaks: results on stdout, all else on stderr, with styles and live displays where they belong.

The environment has the last word: NO_COLOR, FORCE_COLOR, CLICOLOR and CLICOLOR_FORCE (https://no-color.org,
https://bixense.com/clicolors), TERM=dumb, and a character set without what tables are drawn with.
"""

import codecs
import os
import sys
import unicodedata
from typing import IO, TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from rich.console import Console

Loudness = Literal["quiet", "normal", "verbose"]

COMPLETING = "_WSE_SIM_COMPLETE"  # in the environment, by click, where a shell asks for values
WIDTH = 100  # of what goes into a file or a pipe
_LOUDNESS = "wse_sim.loudness"  # in the context of a command
_NO_CURSOR = ("dumb", "unknown")  # terminals
_PLAIN_LETTERS = "wse_sim_plain"  # the name of a character set
_PLAIN = {
    "×": "x",
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": "*",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "≈": "~",
    "∞": "inf",
    "°": " deg",
    "µ": "u",
    "μ": "u",
    "’": "'",
    "“": '"',
    "”": '"',
    **dict.fromkeys("█▉▊▋▌▍▎", "#"),
    **dict.fromkeys("▏│", "|"),
    **dict.fromkeys("─━╸╺", "-"),
    **dict.fromkeys("╭╮╰╯", "+"),
}
_CONTROL_PICTURES = 0x2400
_OBEYED: dict[int, int | str] = {
    **{code: _CONTROL_PICTURES + code for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys((*range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}  # control characters of ASCII and of ISO 6429, and marks of direction
_BRAILLE = range(0x2800, 0x2900)


def is_styled(stream: IO[str]) -> bool:
    """Whether colours and weights may be written to `stream`."""
    said = os.environ
    if said.get("NO_COLOR") or said.get("TERM", "").lower() in _NO_CURSOR:
        return False
    if "FORCE_COLOR" in said:
        return said["FORCE_COLOR"] != ""
    if said.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return said.get("CLICOLOR") != "0" and stream.isatty()


def is_live(stream: IO[str]) -> bool:
    """Whether what was written to `stream` may be written over, as displays of progress do."""
    return stream.isatty() and is_styled(stream)


def printable(text: str) -> str:
    """Text without what a terminal would obey instead of showing: escape codes, and letters that turn its direction."""
    return text.translate(_OBEYED)


def console(stream: IO[str]) -> "Console":
    """What draws tables and displays on `stream`; text is shown as it is, whatever users put into names."""
    from rich.console import Console
    from rich.segment import Segment

    class Shown(Console):
        def render(self, renderable: Any, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                is_text = segment.control is None
                yield Segment(printable(segment.text), segment.style) if is_text else segment

    is_rich = is_styled(stream)
    return Shown(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else WIDTH,
        force_terminal=is_rich,
        no_color=not is_rich,
        color_system="auto" if is_rich else None,
    )


def loudness() -> Loudness:
    """How much the user wants to hear of the command that runs."""
    context = click.get_current_context(silent=True)
    found: Loudness = "normal" if context is None else context.meta.get(_LOUDNESS, "normal")
    return found


def is_quiet() -> bool:
    """Whether the user wants results and errors alone."""
    return loudness() == "quiet"


def set_loudness(context: click.Context, asked: Loudness) -> None:
    """What -q and -v do, before the name of the command and behind it.

    Raises
    ------
    UsageError
        When both are given.
    """
    if context.meta.setdefault(_LOUDNESS, asked) != asked:
        raise click.UsageError("--quiet and --verbose are both given: use one of them", context)


def use_plain_letters() -> None:
    """Have stdout and stderr write ×, …, █ and the like in ASCII, where their character set is not Unicode."""
    streams = [s for s in (sys.stdout, sys.stderr) if hasattr(s, "reconfigure") and not s.encoding.startswith("utf")]
    if streams:
        codecs.register(lambda name: _plain_letters() if name == _PLAIN_LETTERS else None)
    for stream in streams:
        stream.reconfigure(encoding=_PLAIN_LETTERS)


class _Encoder(codecs.IncrementalEncoder):
    def encode(self, text: str, final: bool = False) -> bytes:
        return "".join(map(_plain, text)).encode("ascii")


def _plain_letters() -> codecs.CodecInfo:
    """A character set of its own, since click takes ASCII for a mistake and writes UTF-8."""
    return codecs.CodecInfo(
        name=_PLAIN_LETTERS,
        encode=lambda text, errors="strict": (_Encoder().encode(text), len(text)),
        decode=codecs.ascii_decode,
        incrementalencoder=_Encoder,
    )


def _plain(letter: str) -> str:
    if ord(letter) < 128:
        return letter
    if ord(letter) in _BRAILLE:
        return "*" if ord(letter) > _BRAILLE.start else " "
    if letter in _PLAIN:
        return _PLAIN[letter]
    name = unicodedata.name(letter, "")
    if name.startswith("GREEK"):
        return name.split()[-1].lower()
    power = "^" if unicodedata.decomposition(letter).startswith("<super>") else ""
    bare = unicodedata.normalize("NFKD", letter).replace("−", "-").encode("ascii", "ignore").decode()
    return f"{power}{bare}" if bare else "?"
