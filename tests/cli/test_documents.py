"""What every command prints under --json, writes and reads keeps to its schema; so do the project's own files."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.calibration.made_up import gpu_file, wafer_file
from tests.cli.documents import printed, read_json, validator
from tests.cli.test_project import loss
from tests.laws.run_directories import write_grid
from wse_sim.cli.documents import DOCUMENTS
from wse_sim.spec.load import data_path

COORD = ("coord-check", "--over", "width", "--values", "32,64", "--seeds", "1", "--steps", "2", "--data", "markov")
TRAINER = ("bench", "trainer", "--workload", "10m", "--steps", "1", "--batch-size", "1", "--seq-len", "16")
CASES: list[tuple[str, tuple[str, ...]]] = [
    ("simulate", ("simulate", "--model", "111m")),
    ("simulate", ("simulate", "--model", "111m", "--density", "0.25", "--sparsity-algorithm", "rigl")),
    ("simulate", ("simulate", "--model", "111m", "--no-failures", "--price-basis", "purchase")),
    ("compare", ("compare", "--model", "111m", "--density", "0.25", "--gpu", "h100")),
    ("compare", ("compare", "--model", "bert-base", "--batch-size", "512", "--density", "0.5", "--two-four")),
    ("plan", ("plan", "--model", "111m", "--deadline", "2d", "--num-csx", "1,2", "--batch-size", "128,256")),
    ("sweep", ("sweep", "--model", "111m", "--density", "1,0.25")),
    ("sweep", ("sweep", "--model", "111m", "--density", "1,0.25", "--engine", "closed-form")),
    ("project", ("project", "--model", "1.3b", "--density", "0.25")),
    ("validate", ("validate",)),
    ("schedules", ("schedules", "linear", "cosine_10x", "--model", "111m")),
    ("schedules-list", ("schedules",)),
    ("coord-check", COORD),
    ("reproduce-list", ("reproduce",)),
    ("explain", ("explain",)),
    ("explain", ("explain", "mfu")),
    *(
        ("explain-constants", ("explain", name))
        for name in ("constants", "operations", "gpu-operations", "economics", "gpus", "h100")
    ),
    ("explain-constants", ("explain", "csx.clock_hz")),
    ("explain-parametrization", ("explain", "parametrization")),
    ("explain-parametrization", ("explain", "parametrization", "--model", "111m", "--density", "0.25")),
    ("list", ("list",)),
    ("list", ("list", "gpus")),
    ("bench-cli", ("bench", "cli", "--runs", "1")),
    ("bench-trainer", (*TRAINER, "--threads", "1")),
]


@pytest.fixture(scope="module")
def runs(model: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A dense run and a sparse one of the streaming executor, and what they printed."""
    out = tmp_path_factory.mktemp("runs") / "out"
    words = ("--batch-size", "4", "--tokens", "1e6", "--data", "markov", "--mode", "full", "--steps", "2")
    return out, printed("train", "--model", model, "--density", "1,0.25", *words, "--out", str(out))


@pytest.mark.parametrize(
    ("document", "words"), CASES, ids=lambda case: case if isinstance(case, str) else " ".join(case)
)
def test_what_a_command_prints_keeps_to_its_schema(
    document: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    validator(document).validate(printed(*words))


def test_claims_keep_to_their_schema(tmp_path: Path) -> None:
    validator("reproduce").validate(printed("reproduce", "scaling-law", "--out", str(tmp_path / "claims")))


def test_runs_keep_to_their_schemas_in_print_and_on_disk(runs: tuple[Path, Any]) -> None:
    out, comparison = runs
    validator("train-several").validate(comparison)
    validator("train-several").validate(read_json((out / "comparison.json").read_text()))
    for row in comparison["rows"]:
        folder = out / row["run"]
        validator("train").validate(read_json((folder / "summary.json").read_text()))
        validator("gpu").validate(row["summary"]["simulated_gpu"])
        validator("config-file").validate(tomllib.loads((folder / "config.toml").read_text()))
        for line in (folder / "run.jsonl").read_text().splitlines():
            validator("run-row").validate(read_json(line))
        validator("compare-run").validate(printed("compare", str(folder)))
    assert ["simulated_dense" in row["summary"] for row in comparison["rows"]] == [False, True]


def test_resuming_a_run_prints_its_summary(runs: tuple[Path, Any]) -> None:
    out, comparison = runs
    validator("train").validate(printed("train", "--resume", str(out / comparison["rows"][1]["run"])))


def test_calibrations_keep_to_the_schema_and_their_files_to_those_of_users_files(tmp_path: Path) -> None:
    runs, gpu_runs = wafer_file(tmp_path / "runs.csv"), gpu_file(tmp_path / "gpu-runs.csv")
    system, gpu = tmp_path / "my-cs3.toml", tmp_path / "my-h100.toml"
    validator("calibrate").validate(printed("calibrate", str(runs), "--out", str(system)))
    validator("system-file").validate(tomllib.loads(system.read_text()))
    of_gpu = printed("calibrate", str(gpu_runs), "--out", str(gpu))
    validator("calibrate").validate(of_gpu)
    for document, path in zip(("gpu-file", "gpu-software-file"), of_gpu["files"], strict=True):
        validator(document).validate(tomllib.loads(Path(path).read_text()))
    for file in (system, gpu):
        validator("explain-constants").validate(printed("explain", str(file)))


def test_projections_from_runs_keep_to_the_schema(tmp_path: Path) -> None:
    runs = write_grid(tmp_path / "runs", loss, seeds=(0, 1))
    validator("project").validate(printed("project", *map(str, runs), "--model", "111m"))


@pytest.mark.parametrize(
    ("document", "files"),
    [
        ("model-file", list(data_path("models").iterdir())),
        ("system-file", [data_path("hardware", f"cs{i}.toml") for i in (1, 2, 3)]),
        ("gpu-file", list(data_path("gpus").iterdir())),
        ("gpu-software-file", list(data_path("gpu_software").iterdir())),
        ("economics-file", [data_path("economics.toml")]),
        ("operations-file", [data_path("operations.toml"), data_path("gpu_operations.toml")]),
    ],
)
def test_the_projects_own_files_keep_to_the_schemas_of_users_files(document: str, files: list[Any]) -> None:
    for file in files:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        validator(document).validate(content)
        assert not validator(document).is_valid({**content, "unheard_of": 1})


def test_every_document_is_held_against_something() -> None:
    of_files = {"model-file", "system-file", "gpu-file", "gpu-software-file", "economics-file", "operations-file"}
    of_runs = {"train", "train-several", "run-row", "config-file", "gpu", "compare-run"}
    others = {"reproduce", "calibrate"}
    # Where such a thing is made anyway:
    elsewhere = {
        "bench-engine",
        "bench-plan",
        "bench-streaming",
        "compare-file",
        "explain-config",
        "export",
        "plan-file",
        "prepare",
        "side-car",
        "simulate-file",
    }
    elsewhere |= {"train-verify-resume", "transfer"}
    assert {name for name, _ in CASES} | of_files | of_runs | others | elsewhere == set(DOCUMENTS)
