"""What all cases of bad input share: a cache of their own, and a program that has been warmed up."""

from pathlib import Path

import pytest

from tests.bad_input.a_run import finished


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's cache, in which this machine has been measured: once for all, as on a user's machine."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        finished("dense")  # which also imports what trains: no case is to be cut off in the midst of that
        finished("full")
    return folder
