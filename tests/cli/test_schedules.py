"""`wse-sim schedules` as a user calls it."""

from functools import partial
from pathlib import Path

import pytest

from tests.cli.documents import call, loaded_modules, printed
from training.described import resolve_job
from training.schedules import SCHEDULES
from wse_sim.report.braille import braille_plot

PAPER = ("linear", "linear_10x", "wsd(cooldown=0.1,shape=1-sqrt)")
run = partial(call, "schedules")
printed_json = partial(printed, "schedules")


def test_without_names_every_schedule_is_listed_with_its_parameters() -> None:
    rows = printed_json()["schedules"]
    assert [row["name"] for row in rows] == list(SCHEDULES)
    assert {row["name"]: row["parameters"] for row in rows}["wsd"] == "cooldown=0.2,shape=linear,floor=0"
    table = run().stdout
    assert all(len(line) <= 100 for line in table.splitlines())
    assert all(name in table for name in SCHEDULES)


def test_figures_of_the_example_are_those_of_the_paper() -> None:
    content = printed_json("linear")
    assert (content["n_steps"], content["n_warmup_steps"]) == (11752, 1175)
    assert content["tensors"][0]["timescale"] == pytest.approx(0.42, abs=5e-3)
    (linear,) = content["schedules"]
    assert linear["weight_left_on_init"] == pytest.approx(0.304, abs=7e-4)
    assert linear["lr_largest"] == 2.025e-3
    assert linear["lr_first"] == pytest.approx(2.025e-3 / 1175)


def test_several_schedules_fit_a_terminal() -> None:
    result = run(*PAPER, "sequential(pieces=[wsd(shape=1-sqrt),linear],until=[0.3,1])", "--n-steps", "400")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(len(line) <= 100 for line in lines)
    for text in PAPER:
        assert text in lines  # the heading of its plots
    assert sum(line.startswith("   1│") for line in lines) == 4


def test_commas_and_words_both_separate_and_the_same_schedule_is_shown_once() -> None:
    content = printed_json("linear,wsd(cooldown=0.2,shape=linear)", "wsd", "--n-steps", "100")
    assert [row["schedule"] for row in content["schedules"]] == ["linear", "wsd"]


def test_a_model_brings_its_recipe_and_its_own_learning_rates() -> None:
    content = printed_json("linear", "--model", "d2z-610m", "--parametrization", "smupar", "--density", "0.25")
    hidden, embedding = content["tensors"]
    assert hidden["peak_lr"] == pytest.approx(4 * 2.025e-3)
    assert embedding["peak_lr"] == pytest.approx(1.62e-2)
    assert content["n_steps"] == 11752
    assert printed_json("linear", "--model", "111m", "--tpp", "200")["n_steps"] == pytest.approx(90370, rel=1e-3)


def test_first_step_may_be_asked_to_be_zero() -> None:
    assert printed_json("linear", "--first-step-lr", "zero")["schedules"][0]["lr_first"] == 0.0


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot_writes_a_figure(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"curves.{suffix}"
    content = printed_json(*PAPER, "--n-steps", "50", "--plot", str(path))
    assert len(content["schedules"]) == 3
    assert path.stat().st_size > 5000
    if suffix == "svg":
        assert all(text in path.read_text(encoding="utf-8") for text in PAPER)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("linaer",), "unknown schedule 'linaer': did you mean 'linear'?"),
        (("wsd(cooldown=2)",), "cooldown: Expected float <= 1.0; it takes wsd(cooldown=0.2"),
        (("linear,",), "write a name"),
        (("linear", "--warmup", "100%"), "warmup is '100%', 11,752 steps of 11,752"),
        (("linear", "--weight-decay", "0"), "without decay AdamW averages nothing"),
        (("linear", "--tpp", "20"), "--tpp is of a model: say which with --model"),
        (("linear", "--density", "0.5"), "--density is of a model"),
        (("cooldown(start=20000)",), "start is 20000: the cooldown must begin after the warm-up"),
        (("linear", "--plot", "x.pdf"), "x.pdf: a figure is an .svg or a .png"),
        (("linear", "--model", "112m"), "unknown model '112m'"),
    ],
)
def test_wrong_input_exits_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_train_takes_lists_of_schedules_with_parameters() -> None:
    words = ("train", "--model", "111m", "--schedule", "linear,wsd(cooldown=0.1,shape=sqrt)")
    result = call(*words)
    assert result.exit_code == 2
    assert "unknown shape of wsd 'sqrt': did you mean '1-sqrt'?" in result.stderr


def test_the_folder_of_a_run_is_named_without_what_a_shell_reads() -> None:
    job = resolve_job("111m", schedule="step(at=[0.5,0.8],by=0.3)")
    assert job.name == "111m-density-1-step_at=_0.5_0.8_by=0.3-smupar-seed-0"
    assert resolve_job("111m", schedule="linear_10x").name == "111m-density-1-linear_10x-smupar-seed-0"


def test_neither_torch_nor_what_draws_figures_is_loaded() -> None:
    assert not {"torch", "matplotlib", "scipy", "numba"} & loaded_modules("schedules", "linear", "--n-steps", "100")


def test_a_plot_in_dots_is_joined_and_reaches_both_ends() -> None:
    # One column of two dots, one row of four: from the lowest left dot to the highest right one.
    (line,) = braille_plot([0.0, 1.0], n_columns=1, n_rows=1, top=1.0)
    left, right = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)
    assert ord(line) - 0x2800 == sum(left) + sum(right)  # two values are seen in either half
    assert braille_plot([0.0] * 9, n_columns=2, n_rows=2, top=1.0) == ["\u2800\u2800", "\u28c0\u28c0"]
    assert braille_plot([1.0] * 9, n_columns=2, n_rows=2, top=1.0) == ["\u2809\u2809", "\u2800\u2800"]
