"""Bad input of every kind is refused with one line that says what, where and what would be right, and leaves nothing.

Here in this process, in `test_campaign.py` each in a process of its own, which is timed and weighed.
"""

from pathlib import Path

import pytest

from tests.bad_input.case import Case, not_hanging, require_refused, tree
from tests.bad_input.cases import CASES
from tests.bad_input.privilege import bound_by_permissions
from tests.cli.documents import call

_LIMIT_S = 60.0


def test_there_are_more_than_300_cases_each_with_a_name_of_its_own() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names) >= 300
    assert len({(case.words, tuple(case.files.items())) for case in CASES}) == len(names)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_is_refused_in_one_line(
    case: Case, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    before = tree(tmp_path), tree(cache)
    with not_hanging(_LIMIT_S), bound_by_permissions():
        result = call(*case.words)
    require_refused(case, result.exit_code, result.stdout, result.stderr)
    assert (tree(tmp_path), tree(cache)) == before
