"""`wse-sim bench trainer` as a user calls it."""

from tests.cli.documents import printed, screen

SMALL = (
    "bench",
    "trainer",
    "--workload",
    "10m",
    "--steps",
    "1",
    "--batch-size",
    "1",
    "--seq-len",
    "16",
    "--threads",
    "1",
)


def test_dense_and_masked_steps_are_measured() -> None:
    content = printed(*SMALL)
    assert content["kind"] == "measured"
    assert [row["density"] for row in content["steps"]] == [1.0, 0.25]
    assert all(row["tokens_per_s"] > 0 for row in content["steps"])


def test_the_table_says_what_masking_costs() -> None:
    text = screen(*SMALL)
    assert "10m: 10.8M parameters, 1 x 16 tokens" in text
    assert "over the first" in text
    assert "float32, 1 thread" in text
