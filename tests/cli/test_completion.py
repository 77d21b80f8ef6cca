"""Shells complete commands, options and values, soon and without what takes long to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from tests.cli.documents import call
from wse_sim.cli import completion
from wse_sim.cli.app import main
from wse_sim.cli.completion import SHELLS


@pytest.fixture(autouse=True)
def _asked_by_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_WSE_SIM_COMPLETE", "bash_complete")


def completed(*words: str) -> list[str]:
    """What may stand in place of the last word."""
    bash = get_completion_class("bash")
    assert bash is not None
    *before, last = words
    items = bash(main, {}, "wse-sim", "_WSE_SIM_COMPLETE").get_completions(before, last)
    return [item.value for item in items if item.type == "plain"]


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (("comp",), {"compare", "completion"}),
        (("simulate", "--tor"), {"--tornado"}),
        (("simulate", "--qui"), {"--quiet"}),
        (("simulate", "--model", "1"), {"111m", "13b"}),
        (("plan", "--model", "13b", "--system", "cs2,"), {"cs2,cs1", "cs2,cs3"}),
        (("compare", "--gpu", "h"), {"h100", "h200"}),
        (("compare", "--gpu-software", "meg"), {"megatron"}),
        (("simulate", "--release", ""), {"r2"}),
        (("simulate", "--grid", "n"), {"norway"}),
        (("train", "--schedule", "linear,cos"), {"linear,cosine"}),
        (("train", "--parametrization", "sm"), {"smupar"}),
        (("transfer", "--over", "d"), {"density", "depth"}),
        (("schedules", "linear", "w"), {"wsd"}),
        (("explain", "tokens_per_s"), {"tokens_per_s", "tokens_per_s_low"}),
        (("explain", "csx.clock"), {"csx.clock_hz"}),
        (("explain", "h100.td"), {"h100.tdp_w"}),
        (("explain", "para"), {"parametrization"}),
        (("reproduce", "d2"), {"d2z"}),
        (("schema", "comp"), {"compare", "compare-file"}),
        (("bench", "trainer", "--workload", "1"), {"10m", "111m"}),
    ],
)
def test_values_are_those_that_a_command_takes(words: tuple[str, ...], among: set[str]) -> None:
    found = completed(*words)
    assert among <= set(found)
    assert all(value.startswith(words[-1]) for value in found)
    assert len(set(found)) == len(found)


def test_files_are_offered_where_a_file_will_do() -> None:
    bash = get_completion_class("bash")
    assert bash is not None
    items = bash(main, {}, "wse-sim", "_WSE_SIM_COMPLETE").get_completions(["simulate", "--model"], "my/")
    assert [(item.type, item.value) for item in items] == [("file", "my/")]


def test_names_that_are_written_down_are_those_of_the_trainer() -> None:
    from models.rules import PARAMETRIZATIONS
    from training.claims.registry import CLAIMS
    from training.schedules import SCHEDULES

    assert tuple(SCHEDULES) == completion.SCHEDULES
    assert PARAMETRIZATIONS == completion.PARAMETRIZATIONS
    assert tuple(claim.name for claim in CLAIMS) == completion.CLAIMS


def test_completing_imports_nothing_heavy() -> None:
    code = (
        "import sys, tests.cli.test_completion as t\n"
        "for words in (('simulate', '--model', ''), ('explain', ''), ('reproduce', ''), ('train', '--schedule', '')):\n"
        "    assert t.completed(*words)\n"
        "assert not {'numpy', 'torch', 'rich', 'numba'} & set(sys.modules)"
    )
    program = f"import sys; sys.modules['pytest'] = __import__('unittest.mock').mock.MagicMock()\n{code}"
    environment = {**os.environ, "_WSE_SIM_COMPLETE": "bash_complete", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed_alone(shell: str) -> None:
    result = call("completion", shell)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "_WSE_SIM_COMPLETE" in result.stdout
    assert f"{shell}_complete" in result.stdout


def test_without_a_shell_it_says_how_to_install_the_own_one_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    lines = call("completion").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["fish", "bash", "zsh"]
    assert "wse-sim completion fish > ~/.config/fish/completions/wse-sim.fish" in lines[0]


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    program = tmp_path / "wse-sim"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wse_sim "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(wse-sim completion bash)"; COMP_WORDS=(wse-sim compare --gpu h1); COMP_CWORD=3; '
        '_wse_sim_completion wse-sim; echo "${COMPREPLY[@]}"'
    )
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    environment.pop("_WSE_SIM_COMPLETE")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["h100", "h100-500w"]
