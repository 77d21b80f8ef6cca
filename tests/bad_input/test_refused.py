"""Bad input of every kind is refused with one line that says what, where and what would be right, and leaves nothing.

Here one case of each group in this process, and three in processes of their own; all are, in `test_campaign.py`.
"""

from pathlib import Path

import pytest

from tests.bad_input.case import Case, not_hanging, require_refused, tree
from tests.bad_input.cases import CASES, GROUPS
from tests.bad_input.privilege import bound_by_permissions
from tests.bad_input.process import run_command
from tests.cli.documents import call

_LIMIT_S = 60.0
_OF_EACH_GROUP = [group.cases[len(group.cases) // 2] for group in GROUPS]
_AS_USERS_START_THEM = ("TOML: arrays in arrays", "YAML: aliases of aliases", "in place of a file: a model: a pipe")


def test_there_are_more_than_1_000_cases_each_with_a_name_of_its_own() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names) > 1000
    assert len({(case.words, tuple(case.files.items())) for case in CASES}) == len(names)


@pytest.mark.parametrize("case", _OF_EACH_GROUP, ids=str)
def test_bad_input_is_refused_in_one_line(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    with not_hanging(_LIMIT_S), bound_by_permissions():
        result = call(*case.words)
    require_refused(case, result.exit_code, result.stdout, result.stderr)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("case", [case for case in CASES if str(case) in _AS_USERS_START_THEM], ids=str)
def test_bad_input_is_refused_to_users(case: Case, tmp_path: Path) -> None:
    folder, cache = tmp_path / "here", tmp_path / "cache"
    folder.mkdir()
    case.make(folder)
    before = tree(tmp_path)
    end = run_command(case.words, folder, cache)
    require_refused(case, end.exit_code, end.stdout, end.stderr)
    assert tree(tmp_path) == before
