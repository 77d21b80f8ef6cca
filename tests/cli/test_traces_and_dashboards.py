"""How a user asks for a trace, and for dashboards."""

import gzip
import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.documents import call, screen
from tests.report.trace_rules import check_trace


def test_a_compressed_trace_of_the_first_steps(tmp_path: Path) -> None:
    path = tmp_path / "first.json.gz"
    result = call("simulate", "--model", "111m", "--trace", path, "--trace-steps", "1:2")
    assert result.exit_code == 0
    assert result.stderr == f"timeline of 2 steps: {path}\n"
    content = json.loads(gzip.decompress(path.read_bytes()))
    check_trace(content)
    about = content["otherData"]
    assert (about["first_step"], about["last_step"], about["steps"]) == (1, 2, "counted from a cold start")


def test_what_a_small_trace_leaves_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    result = call("simulate", "--model", "111m", "--trace", path, "--trace-max-bytes", "200k")
    assert result.stderr.startswith(f"timeline of one step: {path}\nnote: to stay within 200 kB (--trace-max-bytes): ")
    assert path.stat().st_size <= 200_000


def test_the_trace_of_a_folder_is_asked_for_by_the_same_options_and_its_page_says_which_step_it_shows(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    result = call("simulate", "--model", "111m", "--out", out, "--trace-steps", "1:2", "--trace-max-bytes", "300k")
    assert result.stderr.startswith("note: trace.json: to stay within 300 kB (--trace-max-bytes): ")
    content = json.loads((out / "trace.json").read_text())
    check_trace(content)
    assert (content["otherData"]["first_step"], content["otherData"]["last_step"]) == (1, 2)
    assert "How busy each resource is over step 2 from a cold start" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--trace-steps", "2"], "say with --trace FILE or --out DIR where it goes"),
        (["--out", "out", "--trace-max-bytes", "1k"], "1,000 bytes cannot hold one micro-batch"),
        (["--trace", "t.json", "--trace-steps", "two"], "write a number such as 3"),
        (["--trace", "t.json", "--trace-max-bytes", "0"], "a number such as 20M would be right"),
        (["--trace", "t.json", "--trace-max-bytes", "1k"], "1,000 bytes cannot hold one micro-batch"),
    ],
)
def test_what_makes_no_trace_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("simulate", "--model", "111m", *words)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert not list(tmp_path.iterdir())


def test_training_follows_the_same_options_and_says_where_the_curves_are(tmp_path: Path, model: str) -> None:
    out = tmp_path / "run"
    small = ["--mode", "dense", "--steps", "2", "--batch-size", "4", "--microbatch", "4", "--data", "markov"]
    result = call("train", "--model", model, *small, "--out", out, "--log", "tensorboard", "--trace-steps", "2")
    assert result.exit_code == 0, result.output
    assert f"curves: tensorboard --logdir {out}/tensorboard" in result.stderr
    summary, trace = (json.loads((out / name).read_text()) for name in ("summary.json", "trace.json"))
    assert (trace["otherData"]["first_step"], trace["otherData"]["last_step"]) == (3, 4)
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    for side in ("simulated", "simulated_gpu"):
        (scalar,) = events.Scalars(f"{side}/step_time_s")
        assert scalar.value == pytest.approx(summary[side]["step_time_s"], rel=1e-6)
        assert scalar.step == summary["measured"]["steps"]
    assert events.Scalars("projected/loss_low")[0].value == pytest.approx(summary["projected"]["low"], rel=1e-6)


def test_a_proof_of_resuming_has_nothing_to_follow() -> None:
    result = call("train", "--model", "111m", "--verify-resume", "--log", "tensorboard")
    assert result.exit_code == 2
    assert "--verify-resume leaves no run behind: leave --log tensorboard out" in result.stderr


def test_help_names_the_options() -> None:
    for command in ("train", "simulate"):
        assert {"--trace-steps", "--trace-max-bytes"} <= set(screen(command, "--help").split())
    assert "--log" in screen("train", "--help").split()
