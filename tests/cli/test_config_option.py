"""`--config` of train, simulate and compare, and `wse-sim explain config`: files in the published form, unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.documents import call, loaded_modules, printed, screen, validator
from tests.spec.model_zoo.published import PAIR, path_of
from tests.training.test_proxy import PROFILE
from training.config import CONFIG_FILE, read_config
from training.plan import plan_of_run

RATE_OF_THIS_MACHINE = ("wall_s", "events_per_s")


def figures(*words: str) -> dict[str, Any]:
    """What simulate prints, without how fast the engine was here and what the model is called."""
    content = printed("simulate", *words)
    del content["model"]
    for key in RATE_OF_THIS_MACHINE:
        del content["engine"][key]
    return content


def test_a_file_simulates_as_its_preset_to_the_last_digit() -> None:
    of_file = figures("--config", path_of("2p7b"), "--num-csx", "4")
    assert of_file == figures("--model", "2.7b", "--tokens", str(49_041 * 528 * 2048))
    assert (of_file["n_steps"], of_file["batch_size"], of_file["tokens"]) == (49_041, 528, 49_041 * 528 * 2048)


def test_masks_that_change_are_simulated_as_the_flags_do() -> None:
    tokens = 4778 * 256 * 2048
    of_file = figures("--config", path_of("125m_rigl75"))
    assert of_file["density"] == 0.25
    words = ("--batch-size", "256", "--tokens", str(tokens), "--density", "0.25", "--sparsity-algorithm", "rigl")
    of_flags = figures("--model", path_of("125m_rigl75"), *words)
    assert of_file == of_flags  # 35 updates until step 3,584, as until three quarters of 4,778 steps
    static = figures("--config", path_of("125m_rigl75"), "--sparsity-algorithm", "static")
    assert static == figures("--config", path_of("125m_static75"))
    assert static["step_time_s"] < of_file["step_time_s"]


def test_lifted_masks_take_the_time_of_both_phases() -> None:
    whole, sparse, dense = (
        printed("simulate", "--num-csx", "8", *(f"--config={path_of(name)}" for name in names))
        for names in (PAIR, PAIR[:1], PAIR[1:])
    )
    assert whole["n_steps"] == sparse["n_steps"] + dense["n_steps"] == 71_902
    assert whole["run_time_s"] == pytest.approx(sparse["run_time_s"] + dense["run_time_s"], rel=1e-12)
    assert whole["masks"] == "random, lifted after 0.8696 of the run"
    comma = printed("simulate", "--num-csx", "8", "--config", ",".join(map(path_of, PAIR)))
    assert comma["run_time_s"] == whole["run_time_s"]


def test_flags_beside_a_file_win() -> None:
    found = printed("simulate", "--config", path_of("llama2_70b"), "--system", "cs3", "--density", "0.5")
    assert (found["num_csx"], found["density"], found["batch_size"], found["seq_len"]) == (16, 0.5, 1024, 4096)
    fewer = printed("simulate", "--config", path_of("llama2_70b"), "--batch-size", "512", "--num-csx", "8")
    assert (fewer["num_csx"], fewer["batch_size"], fewer["tokens"]) == (8, 512, found["tokens"])


def test_what_the_simulator_does_not_do_is_said_beside_the_result(tmp_path: Path) -> None:
    path = tmp_path / "window.yaml"
    text = Path(path_of("111m")).read_text(encoding="utf-8")
    path.write_text(text.replace("hidden_size: 768", "hidden_size: 768\n      attention_sliding_window_length: 256"))
    result = call("simulate", "--config", path, "--json")
    assert "note: trainer.init.model.attention_sliding_window_length 256: attention reaches every" in result.stderr
    json.loads(result.stdout)


def test_a_file_goes_wherever_a_model_goes() -> None:
    named = figures("--model", path_of("13b_bs1080"), "--num-csx", "12")
    assert named == figures("--model", "13b")
    assert "125m_static75" in screen("compare", "--config", path_of("125m_static75"), "--num-gpus", "8")


def test_the_equivalent_toml_is_the_identical_run(tmp_path: Path) -> None:
    for names in (("125m_rigl75",), PAIR):
        toml = tmp_path / "run.toml"
        toml.write_text(screen("explain", "config", *map(path_of, names), "--toml"), encoding="utf-8")
        files = [f"--config={path_of(name)}" for name in names]
        assert figures("--config", str(toml)) == figures(*files)


def test_a_file_trains_itself_and_goes_on_without_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params_tiny.yaml"
    path.write_text(Path(path_of("tiny_rigl")).read_text(encoding="utf-8"), encoding="utf-8")
    out = tmp_path / "run"
    summary = printed("train", "--config", path, "--mode", "dense", "--data", "markov", "--out", out)
    target = summary["target"]
    assert (target["model"], target["schedule"], target["parametrization"]) == ("tiny", "cosine_10x", "sp")
    assert (target["density"], target["sparsity_algorithm"], target["seed"]) == (0.25, "rigl", 7)
    assert (summary["measured"]["steps"], summary["simulated"]["n_steps"]) == (20, 20)
    assert target["hyper_parameters"]["peak_lr"] == 6e-3
    assert any("data_dir" in gap for gap in summary["choice"]["not_covered"])
    path.unlink()
    plan = plan_of_run(out, PROFILE)  # of --resume
    assert plan.choice.config == read_config(out / CONFIG_FILE)
    assert plan.job.preset.shape.name == "tiny"


def test_several_densities_beside_a_file_make_a_comparison(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    text = Path(path_of("tiny_rigl")).read_text(encoding="utf-8")
    path.write_text(text.replace("max_steps: 20", "max_steps: 12"), encoding="utf-8")
    words = ("--density", "1,0.5", "--mode", "dense", "--steps", "3", "--data", "markov", "--out", tmp_path / "out")
    result = call("train", "--config", path, *words, "--json")
    pieces = "segments(of=12,starts=[0,4],over=[4,16],first=[0,1],last=[1,0.1],shapes=[linear,cosine])"
    assert [(row["density"], row["schedule"]) for row in json.loads(result.stdout)["rows"]] == [
        (1.0, pieces),
        (0.5, pieces),
    ]
    assert f"density 0.5, schedule {pieces}" in result.stderr  # brackets are no markup


def test_explain_says_what_became_of_each_key() -> None:
    said = printed("explain", "config", path_of("125m_rigl75"))
    validator("explain-config").validate(said)
    understood = {entry["key"]: entry for entry in said["understood"]}
    assert understood["trainer.init.model.filter_size"]["became"] == "d_ff"
    assert understood["trainer.init.loop.max_steps"]["value"] == "4778"
    ignored = {entry["key"]: entry for entry in said["ignored"]}
    assert ignored["trainer.init.precision.fp16_type"]["affects"] == "training"
    assert ignored["trainer.fit.train_dataloader.num_workers"]["affects"] == "nothing"
    assert {entry["key"] for entry in said["assumed"]} == {"trainer.init.model.norm_type", "trainer.init.seed"}
    assert [entry["line"] for entry in said["understood"]] == sorted(entry["line"] for entry in said["understood"])
    assert printed("explain", "config", path_of("125m_rigl75")) == said

    text = screen("explain", "config", path_of("125m_rigl75"))
    for part in ("Understood", "Ignored", "Assumed", "trainer.init.model\n", "(changes training)", said["toml"]):
        assert part in text
    pair = printed("explain", "config", *map(path_of, PAIR))
    assert {entry["key"].partition(": ")[0] for entry in pair["understood"]} == set(map(path_of, PAIR))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulate", "--config", path_of("111m"), "--model", "111m"), "--model and --config are both given"),
        (("train", "--config", path_of("111m"), "--model", "111m"), "--model and --config are both given"),
        (("simulate", "--config", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("simulate", "--config", path_of("111m") + ",run.toml"), "one file *.toml is read, or one or several *.yaml"),
        (("train", "--config", path_of("111m"), "--sparse-wide"), "a configuration says its own widths"),
        (("train", "--config", path_of("tiny_rigl"), "--steps", "3"), "a run in mode auto has its own"),
        (("train", "--config", path_of("bert_large"), "--mode", "dense", "--steps", "1"), "is an encoder"),
        (("explain", "config"), "there is no file to explain"),
        (("explain", "config", path_of("111m"), "--toml", "--json"), "--toml and --json are both given"),
        (("explain", "mfu", "other"), "it belongs to: wse-sim explain config FILE"),
        (("explain", "mfu", "--toml"), "it belongs to: wse-sim explain config FILE"),
    ],
)
def test_wrong_input_says_what_would_be_right(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_reading_a_configuration_loads_no_torch_and_a_preset_no_yaml() -> None:
    loaded = loaded_modules("simulate", "--config", path_of("111m"), "--json")
    assert "yaml" in loaded
    assert "torch" not in loaded
    assert "yaml" not in loaded_modules("simulate", "--model", "111m", "--json")
