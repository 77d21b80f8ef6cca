"""Pages in headless Chromium: laid out at several widths, in one start of it, and what their layout measures."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any, Literal

import pytest

MEASURE = Path(__file__).parent / "measure.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "Chromium is not installed: apt-get install chromium (Debian), or put chromium or google-chrome on the PATH"
SCHEMES = {"light": 1, "dark": 0}
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom"),
)
_LONGEST_S = 120  # a browser that hangs


def chromium() -> str:
    """Where it is; a developer without it skips the test, continuous integration may not."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip(INSTALL)
    assert found is not None, INSTALL
    return found


def laid_out(
    pages: Mapping[str, Path], folder: Path, *, widths: Sequence[int], scheme: Literal["light", "dark"]
) -> tuple[dict[tuple[str, int], dict[str, Any]], list[str]]:
    """What each page measures at each width, and the lines that any of them put on the console.

    Each page is also opened as the file that it is.
    """
    frames = []
    for name, path in pages.items():
        content = escape(path.read_text(encoding="utf-8"))
        frames += [f'<iframe name="{name} {w}" width="{w}" height="900" srcdoc="{content}"></iframe>' for w in widths]
        frames.append(f'<iframe src="{path.as_uri()}"></iframe>')
    script = MEASURE.read_text(encoding="utf-8")
    harness = folder / f"harness-{scheme}.html"
    harness.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><script>{script}</script><style>iframe {{ border: 0 }}</style>'
        f'{"".join(frames)}<pre id="found"></pre>',
        encoding="utf-8",
    )
    own = (f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--user-data-dir={folder / scheme}")
    done = subprocess.run(
        [chromium(), *FLAGS, *own, harness.as_uri()], capture_output=True, text=True, check=False, timeout=_LONGEST_S
    )
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, flags=re.DOTALL)
    assert found, f"the pages were not measured: {done.stderr[-2000:]}"
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    measured: dict[str, dict[str, Any]] = json.loads(unescape(found[1]))
    return {(key.rpartition(" ")[0], int(key.rpartition(" ")[2])): of for key, of in measured.items()}, console
