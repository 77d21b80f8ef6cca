"""What is released, built and tried: `python -m tests.release_check [--full]`.

Builds the sdist, a wheel, and a wheel from the sdist, which must be the same; checks the metadata; installs the wheel
into an empty environment and runs the program there, far from the source tree. Dependencies are those of the running
environment; with `--full` they come from the index, in the versions of constraints.txt.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
TRIED = (
    ("wse-sim", "--version"),
    ("wse-sim", "list"),
    ("wse-sim", "simulate", "--model", "111m", "--json"),
    ("python", "-c", "import wse_sim, models, training; print(wse_sim.__file__)"),
)


@dataclass(frozen=True, slots=True)
class Built:
    """Files that a release consists of."""

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


def build(out: Path) -> Built:
    """Build all three into `out`."""
    sdist = _hatchling("sdist", ROOT, out / "dist")
    wheel = _hatchling("wheel", ROOT, out / "dist")
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    (unpacked,) = (out / "unpacked").iterdir()
    return Built(sdist, wheel, _hatchling("wheel", unpacked, out / "of-sdist"))


def contents(wheel: Path) -> dict[str, bytes]:
    """Of a wheel, by name of file."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata_of(wheel: Path) -> Metadata:
    """Of a wheel, valid; raises what is wrong with it."""
    (name,) = (name for name in contents(wheel) if name.endswith(".dist-info/METADATA"))
    return Metadata.from_email(contents(wheel)[name], validate=True)


def install(wheel: Path, out: Path, *, from_index: bool) -> Path:
    """An environment that has the wheel, and its dependencies from here or from the index: its folder of programs."""
    environment = out / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    programs = environment / "bin"
    where = ["-c", ROOT / "constraints.txt"] if from_index else ["--no-deps", "--no-index"]
    pip = [_with_pip(), "-m", "pip", "--python", programs / "python", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *where, wheel], check=True, env=_clean())
    if not from_index:
        # A folder that a .pth file names is searched last; .pth files in it, such as editable installs, are not read.
        (purelib,) = environment.glob("lib/python*/site-packages")
        (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return programs


def run(programs: Path, words: Sequence[str], folder: Path) -> str:
    """What a program of an environment prints, called in a folder that has nothing to do with the source."""
    done = subprocess.run([programs / words[0], *words[1:]], cwd=folder, env=_clean(), check=True, capture_output=True)
    return done.stdout.decode()


def _hatchling(target: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out]
    subprocess.run(command, cwd=source, check=True, capture_output=True, env=_clean())
    (built,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def _with_pip() -> str:
    """A Python that has pip: this one, or the one that made its environment."""
    for python in (sys.executable, shutil.which("python3") or sys.executable):
        if subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode == 0:
            return python
    raise SystemExit("no pip: neither this Python nor python3 has it")


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def main() -> None:
    """Build, compare, install, run; says what it did and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="install all dependencies from the index")
    is_full = parser.parse_args().full
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        built = build(out)
        if contents(built.wheel) != contents(built.wheel_of_sdist):
            raise SystemExit("the wheel of the sdist is not the wheel of the checkout")
        metadata = metadata_of(built.wheel)
        print(f"{built.sdist.name} and {built.wheel.name}: {len(contents(built.wheel))} files, metadata valid")
        programs = install(built.wheel, out, from_index=is_full)
        for words in TRIED:
            printed = run(programs, words, out)
            print(f"{' '.join(words)}: {printed.splitlines()[-1][:80]}")
        print(f"{metadata.name} {metadata.version} can be released; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
