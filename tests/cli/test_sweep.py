"""`wse-sim sweep` as a user calls it: one table, whatever happens on the way to it."""

import csv
import gzip
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli.documents import call, loaded_modules
from tests.stopping import stopped

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "sweep.toml"
SMALL = ("--model", "111m", "--system", "cs3", "--batch-size", "240")
# 192 points, half of which do not fit: about a second of work.
LONG = (
    *("--model", "1.3b,6.7b,13b", "--system", "cs3", "--num-csx", "1,2,7,14", "--density", "1,0.5,0.25,0.125"),
    *("--batch-size", "256,512,1024,2048"),
)
run = partial(call, "sweep")


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wse_sim", "sweep", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def has_rows(part: Path) -> bool:
    return part.exists() and b"\n" in part.read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of `LONG` in one go, by one process."""
    out = tmp_path_factory.mktemp("straight") / "sweep.csv"
    assert run(*LONG, "--out", str(out), "--processes", "1").exit_code == 0
    return out.read_bytes()


def test_keys_multiply_in_the_order_in_which_they_are_typed(tmp_path: Path) -> None:
    out = tmp_path / "sweep.csv"
    words = ("--num-csx", "1,2", "--set", "csx.power_w=1e4, 2e4", *SMALL[2:], "--model", "111m,256m")
    assert run(*words, "--out", str(out)).exit_code == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["num_csx", "csx.power_w", "system", "batch_size", "model"]
    assert [(row["num_csx"], float(row["csx.power_w"]), row["model"]) for row in rows] == [
        (n, power, model) for n in "12" for power in (1e4, 2e4) for model in ("111m", "256m")
    ]
    assert list(rows[0])[-2:] == ["status", "reason"]
    assert {row["kind"] for row in rows} == {"simulated"}


def test_sweep_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path, straight: bytes) -> None:
    out, part = tmp_path / "sweep.csv", tmp_path / "sweep.csv.part"
    words = (*LONG, "--out", str(out), "--processes", "2")
    process = started(*words)
    stopped(process, lambda: has_rows(part), by=signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    n_there = part.read_bytes().count(b"\n")
    assert n_there > 0
    again = run(*words)
    assert again.exit_code == 0
    assert f"{n_there} of 192 points are there already" in again.stderr
    assert out.read_bytes() == straight
    assert not part.exists()


def test_ctrl_c_says_the_command_that_goes_on(tmp_path: Path, straight: bytes) -> None:
    out = tmp_path / "sweep.csv"
    words = (*LONG, "--out", str(out), "--processes", "2")
    process = started(*words)
    printed, said = stopped(process, lambda: has_rows(tmp_path / "sweep.csv.part"))
    assert process.returncode == 130
    assert printed == ""
    command = f"wse-sim sweep {' '.join(words)}"
    assert said.splitlines()[-1] == f"stopped and saved; to go on: {command}"
    assert run(*words).exit_code == 0
    assert out.read_bytes() == straight


def test_ctrl_c_without_a_table_says_that_nothing_is_kept() -> None:
    with patch("wse_sim.sweeps.run.Journal.append", side_effect=KeyboardInterrupt):
        result = run(*SMALL)
    assert result.exit_code == 130
    assert result.stderr == "stopped; without --out no row is kept\n"


def test_the_same_command_again_prints_the_same_and_works_nothing_out(tmp_path: Path) -> None:
    words = (*SMALL, "--num-csx", "1,2,7", "--json", "--out", str(tmp_path / "sweep.jsonl"))
    first = run(*words)
    with patch("wse_sim.sweeps.simulated.simulate_point", side_effect=AssertionError):
        again = run(*words)
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert again.stderr.startswith("3 of 3 points are there already\n")


def test_table_of_another_sweep_is_refused(tmp_path: Path) -> None:
    out = str(tmp_path / "sweep.csv")
    assert run(*SMALL, "--num-csx", "1,2", "--out", out).exit_code == 0
    result = run(*SMALL, "--num-csx", "1,4", "--out", out)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {out}: belongs to another sweep")


def test_json_is_one_object_with_counts_and_a_row_for_each_point() -> None:
    result = run(*SMALL, "--num-csx", "1,2,7", "--set", "csx.sram_bytes=44e9,1e6", "--json")
    content = json.loads(result.stdout)
    assert (content["kind"], content["n_points"], content["n_ok"], content["n_infeasible"]) == ("simulated", 6, 2, 4)
    assert [row["status"] for row in content["rows"]] == ["ok", "infeasible"] * 2 + ["infeasible"] * 2
    assert content["rows"][0]["csx.sram_bytes"] == 44e9
    assert content["rows"][0]["tokens_per_s"] > 0
    assert content["rows"][-1]["tokens_per_s"] is None
    assert "batch_size 240 is not a multiple of num_csx 7" in content["rows"][-1]["reason"]
    assert "csx.linear_efficiency" in content["assumed"]
    assert "error" not in result.stderr


def test_table_for_people_has_the_best_rows_and_says_why_others_fail() -> None:
    result = run(*SMALL, "--num-csx", "1,2,4,7", "--density", "1,0.5,0.25,0.125")
    lines = result.stdout.splitlines()
    assert lines[0] == "model 111m, system cs3, batch_size 240"
    assert lines[1] == "simulated: the best 10 of 12 by tokens_per_s"
    assert lines[2].split()[:6] == ["num", "csx", "density", "tokens/s", "mfu", "all"]
    assert len([line for line in lines if line.endswith("kWh")]) == 10
    assert lines[13] == "2 more rows: --out FILE.csv and --json have all, --sort-by FIELD puts others first"
    assert lines[14].startswith("infeasible: 4 of 16 points, the first because batch_size 240 is not a multiple of")
    assert all(len(line) <= 100 for line in lines)
    place = lines[2].index("tokens/s") + len("tokens/s")
    assert all(line[:place].split()[-1].replace(",", "").isdecimal() for line in lines[3:13])  # one unit, no 2.12M
    assert result.stderr.splitlines()[-1].startswith("16/16 points  ")
    cheapest = run(*SMALL, "--num-csx", "1,2", "--set", "csx.usd_per_hour=1,2", "--sort-by", "cost_usd")
    costs = [line.split()[2] for line in cheapest.stdout.splitlines()[3:7]]
    assert costs == sorted(costs)


def test_table_for_people_shows_the_systems_and_batches_that_were_filled_in() -> None:
    lines = run("--model", "111m,13b").stdout.splitlines()
    assert lines[0] == "filled in: system cs2"
    assert lines[2].split()[:5] == ["model", "num", "csx", "batch", "size"]
    assert [line.split()[:3] for line in lines[3:5]] == [["111m", "1", "120"], ["13b", "12", "1080"]]
    alike = run("--model", "111m", "--system", "cs3", "--density", "1,0.5").stdout.splitlines()
    assert alike[0] == "model 111m, system cs3; filled in: num_csx 1, batch_size 120"
    assert alike[2].split()[:2] == ["density", "tokens/s"]


def test_keys_are_printed_as_they_were_given() -> None:
    lines = run(*SMALL, "--num-csx", "1", "--seed", "12345678").stdout.splitlines()
    assert lines[0] == "model 111m, system cs3, batch_size 240, num_csx 1, seed 12345678"


def test_gzipped_table_is_the_same_table(tmp_path: Path) -> None:
    for name in ("sweep.csv", "sweep.csv.gz"):
        assert run(*SMALL, "--num-csx", "1,2", "--out", str(tmp_path / name)).exit_code == 0
    assert gzip.decompress((tmp_path / "sweep.csv.gz").read_bytes()) == (tmp_path / "sweep.csv").read_bytes()


def test_points_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(
        '[fixed]\nmodel = "111m"\nbatch_size = 240\n[grid]\nnum_csx = [1, 2]\n[[list]]\ngpu = "h100"\nnum_gpus = 8\n'
    )
    (tmp_path / "points.csv").write_text(
        "model,batch_size,num_csx,gpu,num_gpus\n111m,240,1,,\n111m,240,2,,\n111m,240,,h100,8\n"
    )
    tables = [json.loads(run(str(tmp_path / name), "--json").stdout) for name in ("points.toml", "points.csv")]
    assert tables[0] == tables[1]
    assert tables[0]["n_ok"] == 3


def test_example_has_points_of_both_sides_and_one_that_does_not_fit() -> None:
    content = json.loads(run(str(EXAMPLE), "--json").stdout)
    assert (content["n_points"], content["n_infeasible"]) == (14, 1)
    assert [row["gpu"] for row in content["rows"]].count("h100") == 1


def test_closed_form_gives_the_same_points_and_says_what_each_row_came_from(tmp_path: Path) -> None:
    words = (*SMALL, "--num-csx", "1,2,7", "--set", "jitter=0,0.1", "--json")
    event, closed = (json.loads(run(*words, "--engine", engine).stdout) for engine in ("event", "closed-form"))
    assert [row["engine"] for row in closed["rows"]] == ["closed form", "event", "closed form", "event", None, None]
    assert {**closed, "rows": None} == {**event, "rows": None}
    for row, other in zip(closed["rows"], event["rows"], strict=True):
        assert set(row) == {*other, "engine", "contention"}
        same = ("num_csx", "microbatch", "status", "reason")
        assert [row[name] for name in same] == [other[name] for name in same]
        assert row["tokens_per_s"] == (other["tokens_per_s"] and pytest.approx(other["tokens_per_s"], rel=0.01))
    out = str(tmp_path / "sweep.csv")
    assert run(*words, "--out", out).exit_code == 0
    assert "belongs to another sweep" in run(*words, "--engine", "closed-form", "--out", out).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SMALL, "--train", "--engine", "closed-form"), "--engine closed-form is for points that are simulated"),
        ((), "model is missing: name a preset"),
        ((*SMALL, "--set", "csx.power=1"), "unknown key 'csx.power': did you mean 'csx.power_w'?"),
        ((*SMALL, "--set", "csx.power_w"), "--set csx.power_w: write KEY=VALUE"),
        ((*SMALL, "--set", "seed=1", "--set", "seed=2"), "seed is given twice"),
        ((*SMALL, "--density", "1,,0.5"), "density is '': write a number"),
        ((*SMALL, "--density", ""), "What follows '--density' is empty"),
        ((*SMALL, "--set", "release=r2),(r1"), "release 'r2),(r1': parentheses and brackets must come in pairs"),
        ((*SMALL, "--sort-by", "mfuu"), "unknown field to sort by 'mfuu': did you mean 'mfu'?"),
        ((*SMALL, "--num-csx", "1,0"), "num_csx is 0: it must be at least 1"),
        ((*SMALL, "--out", "sweep.xlsx"), "sweep.xlsx: a table ends in .csv, .csv.gz, .jsonl"),
        ((*SMALL, "--out", "/proc/no/sweep.csv"), "/proc/no: the folder cannot be made"),
        ((*SMALL, "--peak-lr", "1e-3"), "peak_lr is for runs that are trained: give --train too"),
        ((*SMALL, "--executor", "ray", "--processes", "2"), "--processes is for --executor local"),
        (("points.toml", *SMALL), "keys come from points.toml or from options, not from both, and model is given too"),
        (("points.toml",), "points.toml: cannot be read: No such file"),
    ],
)
def test_wrong_input_exits_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_ray_that_is_not_there_is_told_with_what_installs_it() -> None:
    with patch.dict(sys.modules, {"ray": None}):
        result = run(*SMALL, "--executor", "ray")
    assert result.exit_code == 2
    assert result.stderr == f"error: Ray is not installed here: pip --python {sys.executable} install ray\n"


def test_a_sweep_imports_neither_torch_nor_numba() -> None:
    assert not {"torch", "matplotlib", "simpy", "numba", "ray"} & loaded_modules("sweep", *SMALL)
