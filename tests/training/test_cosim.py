"""The main job, small: a real run here beside the simulated full one, and the folder that it leaves."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.parametrization import BASES
from tests.cli.documents import call, printed, validator
from tests.stopping import stopped
from training.config import read_config
from training.described import resolve_job
from training.job import read_job
from training.machine import MachineProfile, StepRate
from training.plan import make_plan, plan_of_run
from wse_sim.spec.run import MaskUpdates
from wse_sim.spec.sparsity import Static, algorithm_name
from wse_sim.wafer.masks import read_run_masks

# A hundredth of the default tokens, so that the narrowest proxy trains in a second.
SHORT = ["--tokens", "530M", "--budget", "1s"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("run") / "out"
    return out, printed("train", "--model", "2.7b", "--density", "0.25", *SHORT, "--out", out)


def test_run_directory_holds_all_that_the_job_promises(finished: tuple[Path, dict[str, Any]]) -> None:
    out, summary = finished
    for name in ("run.jsonl", "summary.json", "config.toml", "target.toml", "trace.json", "report.html"):
        assert (out / name).stat().st_size > 0, name
    assert list((out / "checkpoints").glob("*.safetensors"))
    assert json.loads((out / "summary.json").read_text()) == summary


def test_the_full_size_model_is_what_is_simulated(finished: tuple[Path, dict[str, Any]]) -> None:
    _, summary = finished
    assert summary["target"]["params"] == summary["simulated"]["params"] == 2_651_553_280
    assert summary["simulated"]["batch_size"] == 528
    assert summary["simulated"]["num_csx"] == 4
    assert summary["simulated"]["density"] == 0.25
    assert summary["simulated_dense"]["density"] == 1.0
    assert summary["measured"]["params"] < 10**6
    # SμPar, Table 1 and 3: hidden rate 1.62e-2 / (2560/256 x 1/4), hidden std 0.0867 / sqrt of the same.
    hidden = summary["target"]["hyper_parameters"]["roles"]["hidden_in"]
    assert hidden["peak_lr"] == pytest.approx(1.62e-2 / 2.5)
    assert hidden["init_std"] == pytest.approx(0.08665602 / 2.5**0.5)


def test_rows_carry_simulated_time_at_the_same_fraction(finished: tuple[Path, dict[str, Any]]) -> None:
    out, summary = finished
    rows = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    n_steps = summary["measured"]["steps"]
    for row in rows:
        assert row["wafer_s"] == pytest.approx(row["step"] / n_steps * summary["simulated"]["run_time_s"])
        assert row["gpu_s"] == pytest.approx(row["step"] / n_steps * summary["simulated_gpu"]["run_time_s"])
    assert rows[-1]["step"] == n_steps
    assert rows[-1]["val_loss"] == summary["measured"]["val_loss"]


def test_several_densities_and_schedules_give_one_row_each(tmp_path: Path) -> None:
    out = tmp_path / "out"
    grid = ["--density", "1,0.25", "--schedule", "linear,cosine_10x"]
    rows = printed("train", "--model", "2.7b", *grid, *SHORT, "--out", out)["rows"]
    assert [(row["density"], row["schedule"]) for row in rows] == [
        (1.0, "linear"), (1.0, "cosine_10x"), (0.25, "linear"), (0.25, "cosine_10x"),
    ]  # fmt: skip
    assert len({row["summary"]["measured"]["params"] for row in rows}) == 1
    assert all((out / row["run"] / "report.html").exists() for row in rows)
    assert (out / "report.html").exists()


def test_a_run_is_not_written_over_another(finished: tuple[Path, dict[str, Any]]) -> None:
    out, _ = finished
    before = (out / "run.jsonl").read_bytes()
    result = call("train", "--model", "2.7b", *SHORT, "--out", str(out))
    assert result.exit_code == 2
    assert str(out) in result.stderr
    assert (out / "run.jsonl").read_bytes() == before


def test_interrupted_run_resumes_to_the_same_loss(tmp_path: Path, finished: tuple[Path, dict[str, Any]]) -> None:
    _, whole = finished
    out = tmp_path / "out"
    given = ["--model", "2.7b", "--density", "0.25", *SHORT, "--out", str(out)]
    given += ["--log", "tensorboard", "--trace-steps", "2"]
    process = subprocess.Popen([sys.executable, "-m", "wse_sim", "train", *given], stderr=subprocess.PIPE, text=True)
    rows = out / "run.jsonl"
    _, said = stopped(process, lambda: rows.exists() and rows.read_text().count("\n") >= 2)
    assert process.returncode == 130, said
    assert f"--resume {out} --log tensorboard --trace-steps 2\n" in said
    assert printed("train", "--resume", out)["measured"]["val_loss"] == whole["measured"]["val_loss"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "2.8b"], "2.7b"),
        (["--model", "2.7b", "--density", "0"], "above 0 and at most 1"),
        (["--model", "2.7b", "--density", "1.5"], "above 0 and at most 1"),
        (["--model", "2.7b", "--density", "0.5", "--sparsity", "0.5"], "use one of them"),
        (["--model", "2.7b", "--schedule", "linaer"], "linear"),
        (["--model", "2.7b", "--parametrization", "nup"], "mup"),
        (["--model", "2.7b", "--batch-size", "530", "--num-csx", "4"], "528 and 532"),
        (["--model", "2.7b", "--budget", "soon"], "90s"),
        (["--model", "2.7b", "--data", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--model", "2.7b", "--system", "cs9"], "cs1, cs2, cs3"),
        (["--model", "2.7b", "--gpu", "h1000"], "h100"),
        (["--model", "2.7b", "--gpu-software", "torch"], "torch-compile, torch-eager"),
        ([], "--model"),
    ],
)
def test_wrong_input_is_told_in_one_line_and_leaves_nothing(arguments: list[str], said: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = call("train", *arguments, "--out", str(out))
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists() or not any(out.iterdir())


def test_unwritable_output_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    result = call("train", "--model", "2.7b", *SHORT, "--out", str(blocked / "out"))
    assert result.exit_code == 2
    assert str(blocked) in result.stderr


def test_corpus_too_small_is_told_with_what_is_needed(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("too little")
    result = call("train", "--model", "2.7b", *SHORT, "--data", str(corpus), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "10 bytes" in result.stderr


def profile(memory_bytes: int = 10**10) -> MachineProfile:
    return MachineProfile(
        cpu="test", n_cpus=2, memory_bytes=memory_bytes, gpu=None,
        matmul_flops_per_s=1e11, matmul_bf16_flops_per_s=2e11,
        step_rates=(StepRate(d_model=64, s_per_token=3e-5), StepRate(d_model=128, s_per_token=8e-5)),
        torch_version="2", measured_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_a_model_that_fits_trains_itself(tmp_path: Path) -> None:
    shape = tmp_path / "tiny.toml"
    shape.write_text(
        '[shape]\nname = "tiny"\nn_layers = 2\nd_model = 64\nn_heads = 2\nd_ff = 256\nvocab_size = 256\nseq_len = 128\n'
    )
    job = resolve_job(str(shape), batch_size=8, tokens=1e5)
    plan = make_plan(job, profile())
    assert plan.choice.mode == "dense"
    assert plan.choice.config.shape.name == "tiny"
    for n_runs, allowed in ((1, "180 s allowed"), (3, "60 s allowed")):
        assert allowed in make_plan(job, profile(), n_runs=n_runs).choice.reasons[0]
    assert make_plan(job, profile(memory_bytes=10**5)).choice.mode == "proxy"


def test_the_target_is_compared_with_the_gpu_and_program_that_were_asked_for() -> None:
    job = resolve_job("111m", gpu="a100-40", gpu_software="torch-eager")
    gpu = make_plan(job, profile()).gpu
    assert (gpu.gpu, gpu.software) == ("a100-40", "torch-eager")
    assert make_plan(resolve_job("111m"), profile()).gpu.software == "megatron"


def test_the_same_machine_makes_the_same_choice() -> None:
    job = resolve_job("2.7b", density=0.25)
    first, second = (make_plan(job, profile()).choice for _ in range(2))
    assert first == second
    assert first.mode == "proxy"
    assert first.config.density == 0.25


def test_a_resumed_run_is_planned_as_it_was_started(finished: tuple[Path, dict[str, Any]]) -> None:
    out, summary = finished
    fast = msgspec.structs.replace(profile(), step_rates=(StepRate(d_model=64, s_per_token=1e-9),))
    job = read_job(out)
    assert make_plan(job, fast).choice.config.shape.d_model > summary["measured"]["d_model"]
    choice = plan_of_run(out, fast).choice
    assert choice.config == read_config(out / "config.toml")
    assert "goes on as it was started" in choice.reasons[0]


@pytest.mark.parametrize(
    ("parametrization", "base", "said"),
    [("sp", "bytes-64-sp", "by standard parameterization"), ("mup", "bytes-64", "transferred by μP"),
     ("smupar", "bytes-64", "transferred by SμPar")],
)  # fmt: skip
def test_what_transfers_the_hyperparameters_is_said_truly(parametrization: str, base: str, said: str) -> None:
    choice = make_plan(resolve_job("2.7b", density=0.25, parametrization=parametrization), profile()).choice
    assert choice.config.base == BASES[base]
    assert choice.config.parametrization == parametrization
    assert said in " ".join(choice.reasons)


@pytest.mark.parametrize("algorithm", ["rigl", "set", "gmp"])
def test_masks_of_the_run_here_change_as_often_as_the_targets(algorithm: Any) -> None:
    updates = MaskUpdates(algorithm=algorithm, every_steps=1000, until=0.5)
    plan = make_plan(resolve_job("2.7b", density=0.25, mask_updates=updates), profile())
    config = plan.choice.config
    n_updates = 0.5 * plan.wafer.run.n_steps / 1000
    (group,) = config.sparsity_plan.groups
    assert algorithm_name(group.algorithm) == algorithm
    assert len(group.steps) == pytest.approx(n_updates, rel=0.2)  # whole steps between two updates
    assert plan.wafer.run.mask_updates == updates
    assert plan.dense.run.mask_updates is None
    assert any("outside the theory of SμPar" in gap for gap in plan.choice.not_covered)
    assert any(f"by {algorithm} every" in reason for reason in plan.choice.reasons)


def test_a_dense_run_has_no_masks_to_change() -> None:
    job = resolve_job("2.7b", mask_updates=MaskUpdates(algorithm="rigl"))
    assert job.algorithm_name == "dense"
    assert make_plan(job, profile()).choice.config.algorithms == (Static(),)


def test_rigl_trains_here_and_is_priced_there(tmp_path: Path) -> None:
    short = ("--tokens", "111M", "--budget", "1s")
    words = ("train", "--model", "111m", "--density", "0.25", "--sparsity-algorithm", "rigl", *short)
    summary = printed(*words, "--out", tmp_path / "out")
    assert summary["target"]["sparsity_algorithm"] == "rigl"
    rows = [json.loads(line) for line in (tmp_path / "out" / "sparsity.jsonl").read_text().splitlines()]
    assert rows
    assert all(row["n_dropped"] == row["n_grown"] for row in rows)
    assert "masks by rigl" in (tmp_path / "out" / "report.html").read_text()
    masks, trained = summary["layer_masks"], read_run_masks(tmp_path / "out")
    assert [(mask["block"], mask["matrix"]) for mask in masks[:2]] == [(0, "q"), (0, "k")]
    assert [mask["density"] for mask in masks[:6]] == [trained.density_of(mask["matrix"], 0) for mask in masks[:6]]
    # What the simulator makes of these masks, block by block: its first block is the first that trained.
    priced = printed("simulate", "--model", "111m", "--mask-from", tmp_path / "out", "--out", tmp_path / "priced")
    assert [mask["imbalance"] for mask in masks[:6]] == [work["imbalance"] for work in priced["matrices"]]
    written = json.loads((tmp_path / "priced" / "simulation.json").read_text(encoding="utf-8"))
    validator("simulate-file").validate(written)
    assert written["layer_masks"] == masks
    again = plan_of_run(tmp_path / "out", profile()).choice.config
    assert again == read_config(tmp_path / "out" / "config.toml")


def test_steps_between_updates_need_masks_that_change(tmp_path: Path) -> None:
    result = call("train", "--model", "111m", "--mask-update-steps", "7", *SHORT, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "static masks never change" in result.stderr


def test_sparse_wide_keeps_tokens_and_nonzeros_of_the_dense_model() -> None:
    dense, wide = (resolve_job("111m", density=0.25, is_sparse_wide=is_wide) for is_wide in (False, True))
    assert wide.tokens == dense.tokens
    shape = wide.simulated_run(0.25).shape
    assert shape.d_model == 2 * dense.preset.shape.d_model
    assert shape == wide.preset.shape
