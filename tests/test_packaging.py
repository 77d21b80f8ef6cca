"""What a user gets: the wheel's content, and the two commands of the README."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_wheel_holds_the_three_packages_and_their_data(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"wse_sim", "models", "training"}
    shipped = {
        str(path.relative_to(ROOT)) for path in (ROOT / "wse_sim").rglob("*") if path.suffix in (".toml", ".css")
    }
    assert shipped <= set(names)
    assert len(shipped) > 20
    assert {f"{top}/py.typed" for top in tops if not top.endswith(".dist-info")} <= set(names)


def test_readme_has_two_setup_commands_of_one_line_each() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert all("-c constraints.txt" in line for line in lines)
    assert lines[0].endswith(".venv/bin/wse-sim train --model 2.7b --density 0.25")
    assert lines[1].endswith("-m pytest -n auto")
    assert "grep -E '^python3 .*-m pytest -n auto$' README.md" in (ROOT / ".ci" / "run").read_text()


def test_torch_is_pinned_for_tests_and_open_for_users() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (torch,) = [dependency for dependency in project["dependencies"] if dependency.startswith("torch")]
    assert torch == "torch>=2.4"
