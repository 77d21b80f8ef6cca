"""A disk that fails: what a run asks of it is counted, and from one request on it refuses all of that sort."""

import builtins
import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# What fails together, and how: no room; a disk that does not answer; a folder that may not be written any more.
REFUSALS = {
    "open": errno.ENOSPC,
    "write": errno.ENOSPC,
    "reserve": errno.ENOSPC,
    "mkdir": errno.ENOSPC,
    "fsync": errno.EIO,
    "rename": errno.EACCES,
    "unlink": errno.EACCES,
}


class FailingDisk:
    """Stands between this process and a folder.

    Attributes
    ----------
    asked, granted :
        What was asked for, and what of that was done: the sort, and the name of the file.
    fails_from :
        Number of the request from which on all with the same error are refused; None = it never fails.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str]] = []
        self.granted: list[tuple[str, str]] = []
        self.fails_from: int | None = None
        self.is_refusing: int | None = None
        self._folder = str(folder)
        for module in (io, builtins):  # of paths, and by itself
            monkeypatch.setattr(module, "open", self._open(open))
        monkeypatch.setattr(os, "fsync", self._by_descriptor("fsync", os.fsync))
        monkeypatch.setattr(os, "posix_fallocate", self._by_descriptor("reserve", os.posix_fallocate))
        for sort, name in (("rename", "replace"), ("unlink", "unlink"), ("mkdir", "mkdir")):
            monkeypatch.setattr(os, name, self._by_path(sort, getattr(os, name)))

    def start(self, fails_from: int | None) -> None:
        """Forget what was; from that request on it fails."""
        self.asked, self.granted, self.fails_from, self.is_refusing = [], [], fails_from, None

    @property
    def places(self) -> list[int]:
        """The first request of each sort for each kind of file."""
        kinds = [(sort, re.sub(r"\d+", "", name)) for sort, name in self.asked]
        return [number for number, kind in enumerate(kinds) if kinds.index(kind) == number]

    def ask(self, sort: str, path: str) -> None:
        """Count a request, or raise OSError."""
        if not path.startswith(self._folder):
            return
        self.asked.append((sort, Path(path).name))
        if len(self.asked) - 1 == self.fails_from:
            self.is_refusing = REFUSALS[sort]
        if self.is_refusing == REFUSALS[sort]:
            raise OSError(self.is_refusing, os.strerror(self.is_refusing), path)
        self.granted.append(self.asked[-1])

    def _open(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        disk = self

        class Raw(io.FileIO):
            """Half of what does not fit is written, as on a real disk."""

            def write(self, content: Any) -> int:
                try:
                    disk.ask("write", os.fspath(self.name))
                except OSError:
                    if len(content) > 1 and len(disk.asked) - 1 == disk.fails_from:
                        return super().write(memoryview(content)[: len(content) // 2])
                    raise
                return super().write(content)

        def watched(file: Any, mode: str = "r", buffering: int = -1, *others: Any, **named: Any) -> Any:
            if "b" not in mode or not set(mode) & set("wxa+") or not os.fspath(file).startswith(disk._folder):
                return opened(file, mode, buffering, *others, **named)
            disk.ask("open", os.fspath(file))
            raw = Raw(os.fspath(file), mode.replace("b", ""), opener=named.get("opener"))
            if buffering == 0:
                return raw
            return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

        return watched

    def _by_descriptor(self, sort: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(descriptor: int, *others: Any) -> Any:
            self.ask(sort, os.readlink(f"/proc/self/fd/{descriptor}"))
            return function(descriptor, *others)

        return watched

    def _by_path(self, sort: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *others: Any, **named: Any) -> Any:
            self.ask(sort, os.fspath(others[0] if sort == "rename" else path))
            return function(path, *others, **named)

        return watched
