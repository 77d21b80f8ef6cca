"""`wse-sim bench trainer` as a user calls it."""

import json

from click.testing import CliRunner

from wse_sim.cli.app import main

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
    result = CliRunner().invoke(main, (*SMALL, "--json"))
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["kind"] == "measured"
    assert [row["density"] for row in content["steps"]] == [1.0, 0.25]
    assert all(row["tokens_per_s"] > 0 for row in content["steps"])


def test_the_table_says_what_masking_costs() -> None:
    result = CliRunner().invoke(main, SMALL)
    assert result.exit_code == 0, result.output
    assert "10m: 10.8M parameters, 1 x 16 tokens" in result.stdout
    assert "over the first" in result.stdout
    assert "float32, 1 thread" in result.stdout
