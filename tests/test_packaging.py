"""What a user gets: sdist and wheel, the program installed from them, and the two commands of the README."""

import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from tests.release_check import ROOT, TRIED, Built, build, contents, install, metadata_of, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = ("wse_sim", "models", "training")
# What is beside the code and its tests, so that a checkout and an sdist are the same to who works in them.
BESIDE = ("tests", "docs", "examples", ".ci", ".github")
AT_THE_TOP = {
    *(".editorconfig", ".gitattributes", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff"),
    *(
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "constraints.txt",
        "pyproject.toml",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


@pytest.fixture(scope="module")
def built(folder: Path) -> Built:
    return build(folder)


def files(folder: str) -> set[str]:
    """Below a folder of the project, but what Python leaves behind."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in paths}


def test_wheel_holds_the_three_packages_and_nothing_else(built: Built) -> None:
    names = {name for name in contents(built.wheel) if ".dist-info/" not in name}
    assert names == set().union(*map(files, OURS))
    assert sum(name.endswith(".toml") for name in names) > 40


def test_sdist_holds_what_the_checkout_does(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set().union(*map(files, (*OURS, *BESIDE))) <= names
    assert names >= AT_THE_TOP


def test_a_wheel_made_from_the_sdist_is_the_same(built: Built) -> None:
    assert contents(built.wheel) == contents(built.wheel_of_sdist)


def test_metadata_is_valid_and_says_what_the_project_does(built: Built) -> None:
    metadata = metadata_of(built.wheel)
    assert (metadata.name, str(metadata.version)) == (PROJECT["name"], PROJECT["version"])
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files == ["LICENSE"]
    assert metadata.description is not None
    assert metadata.description.startswith("# wse-sim")


@pytest.mark.slow
def test_the_wheel_runs_where_there_is_no_source(built: Built, folder: Path) -> None:
    programs = install(built.wheel, folder, from_index=False)
    version, listed, simulated, imported = (run(programs, words, folder) for words in TRIED)
    assert version.strip() == f"wse-sim, version {PROJECT['version']}"
    assert "smupar-proxy" in listed
    assert json.loads(simulated)["model"] == "111m"
    assert Path(imported.strip()).is_relative_to(programs.parent)


def test_readme_has_two_setup_commands_of_one_line_each() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert all("-c constraints.txt" in line for line in lines)
    assert lines[0].endswith(".venv/bin/wse-sim train --model 2.7b --density 0.25")
    assert lines[1].endswith("-m pytest -n auto")
    assert lines[1] in (ROOT / "CONTRIBUTING.md").read_text()
    assert "grep -E '^python3 .*-m pytest -n auto$' README.md" in (ROOT / ".ci" / "run").read_text()


def test_torch_is_pinned_for_tests_and_open_for_users() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    (torch,) = [dependency for dependency in PROJECT["dependencies"] if dependency.startswith("torch")]
    assert torch == "torch>=2.4"
