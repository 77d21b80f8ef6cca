"""What a run took from elsewhere, because the command does not say it, is said in a line."""

import pytest

from tests.cli.documents import screen
from tests.spec.model_zoo.published import path_of

LLAMA = ("--config", path_of("llama2_70b"), "--batch-size", "512")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "13b"), "--num-csx 12 and --batch-size 1080 from the recipe of 13b; --system cs2 by default"),
        (("--model", "13b", "--batch-size", "120"), "--num-csx 1 and --system cs2 by default"),
        (("--model", "13b", "--num-csx", "4", "--system", "cs3"), "--batch-size 1080 from the recipe of 13b"),
        ((*LLAMA, "--system", "cs3"), "--num-csx 16 from the configuration"),
    ],
)
def test_simulate_says_what_was_not_given_and_where_it_is_from(words: tuple[str, ...], said: str) -> None:
    assert screen("simulate", *words).splitlines()[-1] == f"filled in: {said}"


def test_compare_says_the_same() -> None:
    text = screen("compare", "--model", "111m", "--num-csx", "2", "--batch-size", "120", "--num-gpus", "8")
    assert text.splitlines()[-1] == "filled in: --system cs2 by default"


def test_nothing_is_said_where_all_was_given() -> None:
    words = ("--model", "111m", "--system", "cs2", "--num-csx", "1", "--batch-size", "120")
    assert "filled in" not in screen("simulate", *words)
