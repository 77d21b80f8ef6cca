"""How a cluster is run, as a user says it."""

from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.documents import call, printed
from wse_sim.api.settings import operations_of
from wse_sim.cli.operations_options import operations_options
from wse_sim.spec.operations import load_gpu_operations

SIMULATE = ("simulate", "--model", "13b", "--num-csx", "12", "--batch-size", "1080")
SLOW = '[stragglers_per_system_day]\nvalue = 2\nkind = "assumed"\nsource = "what if"\n'


def test_a_simulation_says_how_often_it_is_saved_and_fails() -> None:
    result = printed(*SIMULATE)
    assert result["checkpoint_interval_s"] == pytest.approx(result["checkpoint_steps"] * result["step_time_s"])
    assert result["n_failures_expected"] == pytest.approx(
        (12 / 2.3e7 + 1 / 7.8e6) * (result["wall_clock_s"] - 1800), rel=1e-9
    )
    losses = result["checkpoint_loss"]
    assert losses["chosen"] == 0
    assert 0 < losses["half"] < 0.02
    assert 0 < losses["double"] < 0.02
    assert "system_mtbf_s" in result["assumed_operations"]
    hours = result["checkpoint_interval_s"] / 3600
    shown = f"checkpoint every {hours:.1f} h, {result['n_failures_expected']:.2f} failures expected"
    assert shown in call(*SIMULATE).stdout


def test_rarer_failures_and_longer_intervals_do_as_they_should() -> None:
    often, seldom = (printed(*SIMULATE, "--system-mtbf", mtbf) for mtbf in ("30d", "300d"))
    assert often["n_failures_expected"] > 5 * seldom["n_failures_expected"]
    assert often["goodput"] < seldom["goodput"]
    assert often["checkpoint_interval_s"] < seldom["checkpoint_interval_s"]
    shared = printed(*SIMULATE, "--cluster-mtbf", "1d")
    assert shared["n_failures_expected"] == pytest.approx(shared["wall_clock_s"] / 86_400, rel=0.05)
    two_hours, steps = (printed(*SIMULATE, "--checkpoint-interval", asked) for asked in ("2h", "500 steps"))
    assert two_hours["checkpoint_interval_s"] == pytest.approx(7200, abs=two_hours["step_time_s"] / 2)
    assert steps["checkpoint_steps"] == 500
    best = printed(*SIMULATE)["wall_clock_s"]
    assert two_hours["wall_clock_s"] / best - 1 == pytest.approx(two_hours["checkpoint_loss"]["chosen"])
    assert two_hours["checkpoint_loss"]["chosen"] > 0


def test_what_the_user_said_is_not_assumed() -> None:
    usual, said = printed(*SIMULATE), printed(*SIMULATE, "--system-mtbf", "30d")
    assert set(usual["assumed_operations"]) - set(said["assumed_operations"]) == {"system_mtbf_s"}
    assert "system_mtbf_s" not in said["assumed_operations_constants"]


def test_without_failures_the_run_is_saved_at_its_end() -> None:
    result = printed(*SIMULATE, "--no-failures")
    assert result["n_failures_expected"] == 0
    assert result["checkpoint_steps"] == round(result["n_steps"])
    assert result["wall_clock_p5_s"] == result["wall_clock_p95_s"]
    assert "checkpoint at the end, no failures expected" in call(*SIMULATE, "--no-failures").stdout


def test_a_file_changes_any_constant(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(SLOW)
    slow, quick = printed(*SIMULATE, "--operations", str(path)), printed(*SIMULATE)
    assert slow["wall_clock_parts_s"]["straggler"] > 0 == quick["wall_clock_parts_s"]["straggler"]
    assert slow["goodput"] < quick["goodput"]
    assert slow["step_time_s"] == quick["step_time_s"]
    assert sum(slow["wall_clock_parts_s"].values()) == pytest.approx(slow["wall_clock_s"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--system-mtbf", "0"), "system_mtbf is '0': write a positive time such as 90s, 3m, 2h or 10d"),
        (("--system-mtbf", "1m"), "the run does not come to its end, however often it is saved"),
        (("--checkpoint-interval", "2000h", "--cluster-mtbf", "1h"), "checkpoint more often"),
        (("--no-failures", "--system-mtbf", "1d"), "--system-mtbf and --no-failures are both given"),
        (("--checkpoint-interval", "often"), "checkpoint_interval is 'often': write a positive time such as 90s"),
        (("--checkpoint-interval", "often"), "or steps such as '500 steps'"),
        (("--checkpoint-interval", "0 steps"), "checkpoint_steps is 0: it must be at least 1"),
        (("--operations", "/no/such/file.toml"), "/no/such/file.toml: cannot be read"),
    ],
)
def test_wrong_operations_exit_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = call(*SIMULATE, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_unknown_constants_of_a_file_are_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(SLOW.replace("stragglers", "straggler"))
    result = call(*SIMULATE, "--operations", str(path))
    assert result.exit_code == 2
    assert "did you mean 'stragglers_per_system_day'?" in result.stderr
    assert "known are checkpoint_s_per_parameter, cluster_mtbf_s" in result.stderr


def test_options_serve_any_command_and_either_side() -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @operations_options
    @click.option("--other")
    def command(**options: Any) -> None:
        seen["wafers"] = operations_of(dict(options))
        seen["gpus"] = operations_of(options, base=load_gpu_operations())
        seen["left"] = options

    command(["--system-mtbf", "1d", "--checkpoint-interval", "7 steps", "--other", "x"], standalone_mode=False)
    assert seen["left"] == {"other": "x"}
    assert seen["wafers"].system_mtbf_s == seen["gpus"].system_mtbf_s == 86_400
    assert seen["gpus"].checkpoint_steps == 7
    assert seen["gpus"].detection_s == load_gpu_operations().detection_s


def test_explain_prints_the_constants_of_both_sides() -> None:
    wafers, gpus = (printed("explain", name)["constants"] for name in ("operations", "gpu-operations"))
    assert wafers.keys() == gpus.keys()
    assert wafers["compile_s"] != gpus["compile_s"]
