"""`wse-sim reproduce` as a user calls it."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.cli.documents import call, printed
from training.claims.registry import CLAIMS
from wse_sim.cli.app import EXIT_INPUT, EXIT_INTERRUPTED

run = partial(call, "reproduce")


def test_without_names_all_claims_are_listed_with_the_verdicts_found(tmp_path: Path) -> None:
    assert run("spdf-flops", "--out", tmp_path).exit_code == 0
    rows = {row["name"]: row for row in printed("reproduce", "--out", tmp_path)["claims"]}
    assert list(rows) == [claim.name for claim in CLAIMS]
    assert (rows["spdf-flops"]["verdict"], rows["ema"]["verdict"]) == ("reproduced", None)
    listed = run("--out", tmp_path).stdout
    assert all(claim.name in listed for claim in CLAIMS)
    assert "not tested yet" in listed


def test_json_is_one_object_and_says_what_the_page_says(tmp_path: Path) -> None:
    result = run("training-flops", "spdf-flops", "--out", tmp_path / "out", "--pages", tmp_path / "pages", "--json")
    assert result.exit_code == 0, result.output
    claims = json.loads(result.stdout)["claims"]
    assert [claim["number"] for claim in claims] == [3, 13]
    for claim in claims:
        page = (tmp_path / "pages" / f"{claim['number']:02d}-{claim['name']}.md").read_text()
        assert claim["why"] in page
    assert "reproduced" in result.stderr


def test_a_table_and_a_verdict_are_printed(tmp_path: Path) -> None:
    result = run("spdf-flops", "--out", tmp_path)
    assert "2.494" in result.stdout
    assert "reproduced: Holds:" in result.stdout
    assert f"pages: {tmp_path}" in result.stderr


@pytest.mark.usefixtures("runs_here")
def test_frontier_trains_and_decides_nothing_in_a_smoke_run(tmp_path: Path) -> None:
    words = ("frontier", "--smoke", "--workers", "1", "--out", tmp_path, "--json")
    first = run(*words)
    assert first.exit_code == 0, first.output
    (claim,) = json.loads(first.stdout)["claims"]
    assert (claim["verdict"], claim["n_seeds"], claim["is_smoke"]) == ("inconclusive", 1, True)
    assert (tmp_path / "16-frontier.svg").exists()
    again = run(*words)
    assert "12 of 12 runs are there already" in again.stderr
    assert json.loads(again.stdout)["claims"][0]["tables"] == claim["tables"]


def test_an_unknown_claim_is_told() -> None:
    result = run("d2zz")
    assert result.exit_code == EXIT_INPUT
    assert "unknown claim 'd2zz'" in result.stderr


def test_ctrl_c_ends_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.claims.reproduce.Reproduction.run", interrupted)
    result = run("spdf-flops", "--out", tmp_path)
    assert result.exit_code == EXIT_INTERRUPTED
    assert "the same command goes on" in result.stderr
