"""`wse-sim project` as a user calls it."""

from functools import partial
from pathlib import Path

import pytest

from tests.cli.documents import call, printed
from tests.laws.run_directories import write_grid, write_run
from wse_sim.laws.cerebras_gpt import project_loss
from wse_sim.laws.observation import Sample
from wse_sim.laws.power_law import PowerLaw
from wse_sim.spec.load import load_model

LAW = PowerLaw(flops_scale=1e15, exponent=0.15, irreducible=0.5)
project = partial(call, "project")


def loss(sample: Sample, seed: int) -> float:
    return float(LAW.loss(sample.flops("paper"))) * (1 + 0.002 * (-1) ** seed)


def test_without_runs_the_published_law_answers() -> None:
    content = printed("project", "--model", "1.3b", "--density", "0.25")
    shape = load_model("1.3b").shape
    expected = project_loss(shape, density=0.25, tokens=content["tokens"])
    assert (content["loss"], content["loss_low"], content["loss_high"]) == (
        expected.value,
        expected.low,
        expected.high,
    )
    assert content["kind"] == content["recommended"]["kind"] == "projected"
    assert content["tokens_per_parameter"] == pytest.approx(20)
    assert content["convention"] == "paper"


def test_from_runs_it_says_which_law_which_convention_and_how_many_rows(tmp_path: Path) -> None:
    runs = write_grid(tmp_path / "runs", loss, seeds=(0, 1))
    content = printed("project", *runs, "--model", "111m", "--convention", "6nd")
    assert content["law"]["name"] == "power"
    assert content["law"]["convention"] == content["convention"] == "6nd"
    assert (content["law"]["n_rows"], content["law"]["n_runs"], len(content["rows"])) == (5, 10, 5)
    assert content["loss_low"] <= content["loss"] <= content["loss_high"]
    assert content["loss_unit"] == "nats/byte"
    assert content["vocab_size"] == 256


def test_a_folder_of_several_runs_stands_for_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    runs = write_grid(folder, loss, seeds=(0, 1))
    names = [str(run.relative_to(folder)) for run in runs]
    (folder / "runs.toml").write_text(f"command = 'wse-sim train'\nruns = {names}\n", encoding="utf-8")
    together, single = (printed("project", *of, "--model", "111m") for of in ([folder], runs))
    assert together == single
    for words in (("compare",), ("export", "--out", str(tmp_path / "out"))):
        refused = call(*words, str(folder))
        assert refused.exit_code == 2
        assert f"{folder}: holds several runs: name the folder of one of them: {folder / names[0]}, " in refused.stderr


def test_tables_and_figure_for_people(tmp_path: Path) -> None:
    runs = write_grid(tmp_path / "runs", loss, seeds=(0, 1))
    figure = tmp_path / "law.svg"
    result = project(*runs, "--model", "111m", "--plot", figure)
    assert result.exit_code == 0, result.output
    for words in ("projected", "5 rows", "10 runs; ", "nats/byte", "Power Lines", "Before you use it"):
        assert words in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines())
    assert f"figure: {figure}" in result.stderr
    first = figure.read_bytes()
    project(*runs, "--model", "111m", "--plot", figure)
    assert figure.read_bytes() == first


def test_the_published_law_is_drawn_too(tmp_path: Path) -> None:
    figure = tmp_path / "law.png"
    assert project("--model", "13b", "--plot", figure).exit_code == 0
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_wrong_input_exits_2_with_one_message(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", loss)
    other = write_run(tmp_path / "other", loss, width=128, schedule="cosine")
    for words, message in (
        (("--model", "1.3b", "--law", "sparse"), "the sparse law has to be fitted to runs"),
        (("--model", "1.3b", "--convention", "6nd"), "takes FLOPs of convention 'paper', not '6nd'"),
        (("--model", "1.3b", "--convention", "6n"), "unknown FLOP convention '6n': did you mean '6nd'"),
        (("--model", "1.3b", "--law", "hill"), "unknown law 'hill'"),
        (("--model", "1.3b", "--tpp", "0"), "tpp is 0.0: it must be at least 1e-06"),
        (("--model", "1.3b", "--density", "2"), "density is 2.0"),
        (("--model", "1.3b", "--plot", "law.pdf"), "a figure is an .svg or a .png"),
        ((tmp_path / "none", "--model", "1.3b"), "there is no config.toml in it"),
        ((run, "--model", "1.3b"), "the runs support no law"),
        ((run, other, "--model", "1.3b"), "runs cannot be mixed: schedule is 'linear' in run and 'cosine' in other"),
    ):
        result = project(*words)
        assert result.exit_code == 2, (words, result.output)
        assert result.stdout == ""
        assert message in result.stderr, (words, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1


def test_weight_decay_is_advised_at_the_rate_of_the_hidden_layers() -> None:
    recommended = printed("project", "--model", "d2z-610m")["recommended"]
    assert recommended["peak_lr"] == pytest.approx(1.62e-2 * 256 / 2048)  # η of the base, at width 2048
    assert recommended["weight_decay"] == pytest.approx(recommended["lr_times_weight_decay"] / recommended["peak_lr"])


def test_a_seed_below_zero_is_refused() -> None:
    assert project("--model", "111m", "--seed", "-1").exit_code == 2
