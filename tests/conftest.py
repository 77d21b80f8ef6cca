"""What all tests share."""

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import settings

from tests.campaigns import RecordFigures, keep
from tests.in_process import runs_in_this_process
from tests.undrawn import undrawn_pages
from wse_sim.processes.garbage import look_less_for_garbage

# Machines are noisy, and a first call may compile: how long an example takes is no property of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The hundreds of processes that tests start read our modules as bytecode, whatever the environment says: the first one
# compiles them for all.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

look_less_for_garbage()

TINY = """
[shape]
name = "tiny"
n_layers = 2
d_model = 64
n_heads = 2
d_ff = 256
vocab_size = 300
seq_len = 64
"""


def pytest_collection_finish() -> None:
    """Some 700,000 objects live to the end from here on: walking them for garbage is in vain."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def ray_of_these_tests_alone() -> Iterator[None]:
    """No Ray of another process's tests is joined, no record of a dead one is read, and none is left running."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets lie deep in it, and their paths are <= 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    processes = [process for process in psutil.process_iter(["cmdline"]) if folder in str(process.info["cmdline"])]
    _, left = psutil.wait_procs(processes, timeout=10.0)
    for process in left:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"a test has left Ray running: {left}"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a model so small that it trains in a moment."""
    path = tmp_path_factory.mktemp("model") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return str(path)


@pytest.fixture
def undrawn() -> Iterator[None]:
    """For tests of what a page says."""
    with undrawn_pages():
        yield


@pytest.fixture
def runs_here() -> Iterator[None]:
    """For tests of what comes of many runs, not of who trains them."""
    with runs_in_this_process():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="keep the figures of campaigns in docs/results/reliability")


@pytest.fixture
def record_figures(request: pytest.FixtureRequest) -> RecordFigures:
    """Keep the figures of a campaign, if pytest was called with --record: `record_figures(section, {what: value})`."""
    began_s = time.monotonic()

    def record(section: str, figures: dict[str, str | int | float]) -> None:
        if request.config.getoption("--record"):
            keep(section, request.node.nodeid, time.monotonic() - began_s, figures)

    return record
