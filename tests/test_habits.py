"""The files by which a repository is worked with are of the form that their readers ask for."""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release_check import ROOT

TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))

# Citation File Format 1.2.0, https://github.com/citation-file-format/citation-file-format: what a file must have, and a
# part of what it may have.
CFF_REQUIRED = {"cff-version", "message", "title", "authors"}
CFF_KEYS = CFF_REQUIRED | {
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url"),
    *("preferred-citation", "references", "repository", "repository-code", "type", "url", "version"),
}
CFF_PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid", "email", "website"}
CFF_ENTITY = {"name", "website", "email", "orcid", "alias"}


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_license_is_apache_2_word_for_word() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_citation_is_a_citation_file_of_this_version_with_its_three_papers() -> None:
    citation = read_yaml(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert CFF_REQUIRED <= citation.keys() <= CFF_KEYS
    assert citation["cff-version"] == "1.2.0"
    assert (citation["type"], citation["license"]) == ("software", project["license"])
    assert str(citation["version"]) == project["version"]
    assert [reference["url"] for reference in citation["references"]] == [
        f"https://arxiv.org/abs/{number}" for number in ("2304.03208", "2405.15743", "2502.15938")
    ]
    for cited in (citation, *citation["references"]):
        assert {"title", "authors", "type"} <= cited.keys()
        assert all(author.keys() <= CFF_PERSON or author.keys() <= CFF_ENTITY for author in cited["authors"])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_issue_templates_are_forms(path: Path) -> None:
    form = read_yaml(path)
    if path.name == "config.yml":
        assert form.keys() <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "title", "labels", "body"}
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert ids
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes")
        assert "value" in field["attributes"] if field["type"] == "markdown" else field["attributes"]["label"]


def test_hooks_are_the_projects_own_tools_and_need_no_network() -> None:
    (repository,) = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert {"id", "name", "entry", "language"} <= hook.keys()
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
        for word in hook["entry"].split():
            assert not word.startswith("tests/") or (ROOT / word).exists()


def test_the_changelog_has_a_heading_for_this_version_and_lists_under_it() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = [line for line in lines if line.startswith("## ")]
    assert re.fullmatch(rf"## \[?{re.escape(version)}\]? (\(unreleased\)|- \d{{4}}-\d\d-\d\d)", headings[0])
