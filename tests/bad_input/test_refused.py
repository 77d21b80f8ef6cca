"""Bad input of every kind is refused with one line that says what, where and what would be right, and leaves nothing.

Here in this process, `test_campaign.py` each in a process of its own, which is timed and weighed.
"""

from pathlib import Path

import pytest

from tests.bad_input.case import Case, not_hanging, require_refused, tree
from tests.bad_input.cases import CASES
from tests.cli.documents import call

_LIMIT_S = 10.0


def test_there_are_more_than_300_cases_each_with_a_name_of_its_own() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names) >= 300
    assert len({case.words + tuple(case.files.items()) for case in CASES}) == len(names)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_is_refused_in_one_line(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    with not_hanging(_LIMIT_S):
        result = call(*case.words)
    require_refused(case, result.exit_code, result.stdout, result.stderr)
    assert tree(tmp_path) == before
