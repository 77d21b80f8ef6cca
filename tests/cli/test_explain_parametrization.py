"""`wse-sim explain parametrization` as its users call it."""

import json
from functools import partial

import pytest

from tests.cli.documents import call
from tests.spec.model_zoo.published import path_of
from wse_sim.cli.terminal import WIDTH

run = partial(call, "explain")


def test_numbers_of_the_released_256m_configuration_are_printed() -> None:
    result = run("parametrization", "--model", "256m", "--parametrization", "mup")
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert lines["attention.qkv.weight"][-5:-3] == ["0.03881", "0.001412"]  # 0.0388057; 6e-3 / 4.25
    assert lines["mlp.down.weight"][-5] == "0.007334"
    assert lines["logits"][-1] == "0.2353"
    assert "blocks.0..13" in lines


@pytest.mark.parametrize("name", ["smupar", "completep", "sp"])
def test_every_line_fits_the_page(name: str) -> None:
    words = ("--model", "d2z-1.7b", "--parametrization", name, "--density", "0.25", "--depth-alpha", "0.5")
    lines = run("parametrization", *words).stdout.splitlines()
    assert len(lines) > 30
    # The longest table line, so that nothing was folded: every row of the tensors has its eight columns.
    assert max(map(len, lines)) <= WIDTH
    assert all(len(line.split("  ")) > 1 for line in lines if ".weight" in line)


def test_json_is_one_object_with_the_numbers() -> None:
    words = ("--model", "llama-2-7b", "--parametrization", "sp", "--json")
    content = json.loads(run("parametrization", *words).stdout)
    assert content["eps"] == 1e-5  # of its recipe
    assert content["base"]["peak_lr"] == 3e-4
    names = [row["name"] for row in content["tensors"]]
    assert "blocks.0..31.mlp.gate.weight" in names
    assert "output.weight" in names


def test_of_a_file_its_own_parametrization_and_base_are_explained_or_it_is_said_that_they_are_not() -> None:
    file = path_of("111m_mup")
    own = json.loads(run("parametrization", "--model", file, "--json").stdout)
    assert (own["parametrization"], own["base"]["source"]) == ("mup", file)
    assert own == json.loads(run("parametrization", "--model", file, "--parametrization", "mup", "--json").stdout)
    other = run("parametrization", "--model", file, "--base", "smupar-paper").stdout
    said = " ".join(other.split())
    assert f"caveat: the base values of {file} are for mup and are not taken here: --parametrization mup does" in said
    assert "are not taken here" not in run("parametrization", "--model", file).stdout


def test_masks_outside_the_theory_are_named() -> None:
    words = ("parametrization", "--model", "111m", "--density", "0.5", "--sparsity-algorithm", "rigl")
    assert "caveat: masks of rigl are outside the theory of SμPar" in run(*words).stdout


def test_constant_lr_wd_keeps_the_product_of_the_base() -> None:
    words = ("--model", "111m", "--density", "0.25", "--weight-decay-scaling", "constant_lr_wd", "--json")
    content = json.loads(run("parametrization", *words).stdout)
    products = {row["role"]: row["lr_wd"] for row in content["tensors"]}
    assert products["hidden_in"] == pytest.approx(products["embedding"]) == pytest.approx(1.62e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("parametrization", "--parametrization", "smupa"), "did you mean 'smupar'"),
        (("parametrization", "--base", "smupar"), "unknown base 'smupar': did you mean 'smupar-paper'"),
        (("parametrization", "--model", "bert-base"), "is an encoder"),
        (("parametrization", "--depth-alpha", "2"), "depth_alpha is 2.0"),
        (("parametrization", "--parametrization", "completep", "--base", "cerebras-gpt-sp"), "no depth_base"),
        (("mfu", "--model", "111m"), "--model is given, but it belongs to: wse-sim explain parametrization"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_is_right(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
