"""Every command that prints JSON or writes files, in an order in which each finds what it needs."""

from dataclasses import dataclass
from pathlib import Path

from tests.calibration.made_up import gpu_file, wafer_file
from tests.cli.test_project import loss
from tests.conftest import TINY
from tests.laws.run_directories import write_grid

_TARGET = ("--model", "tiny.toml", "--batch-size", "4", "--tokens", "1e6")
_HERE = (*_TARGET, "--data", "markov", "--steps", "3")
_SWEPT = ("--num-csx", "1,2,7", "--density", "1,0.5", "--batch-size", "240,512")


@dataclass(frozen=True)
class Command:
    """A command.

    Parameters
    ----------
    document :
        What it prints, by its name in `wse_sim.cli.documents`; "" where that is no JSON.
    words :
        Without --json. WORKERS stands for a number, another one each time.
    trains :
        It loads torch, or takes a second or more otherwise.
    by_budget :
        How long it trains hangs on how fast this machine was when it was measured.
    """

    document: str
    words: tuple[str, ...]
    trains: bool = False
    by_budget: bool = False

    def called(self, n_workers: int) -> tuple[str, ...]:
        """The words, with --json where it prints a document."""
        words = [str(n_workers) if word == "WORKERS" else word for word in self.words]
        return (*words, "--json") if self.document else tuple(words)


COMMANDS = [
    Command("simulate", ("simulate", "--model", "111m", "--density", "0.25", "--tornado", "--out", "sim")),
    Command(
        "simulate", ("simulate", "--model", "111m", "--jitter", "0.1", "--num-csx", "2", "--trace", "trace.json.gz")
    ),
    Command("simulate", ("simulate", "--model", "111m", "--density", "0.25", "--sparsity-algorithm", "rigl")),
    Command(
        "compare", ("compare", "--model", "111m", "--density", "0.25", "--layouts", "2", "--tornado", "--out", "cmp")
    ),
    Command(
        "plan",
        ("plan", "--model", "111m", "--deadline", "2d", "--num-csx", "1,2", "--batch-size", "128,256", "--out", "plan"),
    ),
    Command("sweep", ("sweep", "--model", "111m", *_SWEPT, "--processes", "WORKERS", "--out", "sweep.csv.gz")),
    Command("sweep", ("sweep", "--model", "111m", *_SWEPT, "--engine", "closed-form", "--out", "closed.jsonl")),
    Command("project", ("project", "--model", "1.3b", "--density", "0.25")),
    Command("validate", ("validate",), trains=True),
    Command("schedules", ("schedules", "linear", "cosine_10x", "--model", "111m"), trains=True),
    Command("schedules-list", ("schedules",)),
    Command("reproduce-list", ("reproduce",), trains=True),
    Command("explain", ("explain",)),
    *(
        Command("explain-constants", ("explain", name))
        for name in ("constants", "operations", "gpu-operations", "economics", "gpus", "h100")
    ),
    Command(
        "explain-parametrization", ("explain", "parametrization", "--model", "111m", "--density", "0.25"), trains=True
    ),
    Command("list", ("list",)),
    Command("", ("schema", "--all", "--out", "schemas"), trains=True),
    Command("", ("explain", "mfu")),
    Command("", ("list",)),
    Command("", ("simulate", "--model", "111m")),
    Command("", ("report", "sim")),
    Command("calibrate", ("calibrate", "runs.csv", "--out", "mine.toml"), trains=True),
    Command("calibrate", ("calibrate", "gpu-runs.csv", "--out", "my-h100.toml"), trains=True),
    Command("explain-constants", ("explain", "mine.toml"), trains=True),
    Command("project", ("project", "grid/*", "--model", "111m", "--plot", "law.svg"), trains=True),
    Command("reproduce", ("reproduce", "scaling-law", "--out", "claims"), trains=True),
    Command("prepare", ("prepare", "text.txt", "--tokenizer", "bytes", "--out", "data"), trains=True),
    Command(
        "coord-check",
        (
            *(
                "coord-check",
                "--over",
                "width",
                "--values",
                "32,64",
                "--seeds",
                "1",
                "--steps",
                "2",
                "--data",
                "markov",
            ),
            *("--out", "coord"),
        ),
        trains=True,
    ),
    Command(
        "transfer",
        (
            *("transfer", "--over", "width", "--values", "32,64", "--lr-grid", "2^-6..2^-5", "--extend", "0"),
            *("--seeds", "2", "--steps", "4", "--data", "markov", "--workers", "WORKERS", "--out", "transfer"),
        ),
        trains=True,
    ),
    Command("train", ("train", *_HERE, "--mode", "dense", "--out", "dense"), trains=True),
    Command(
        "train",
        (
            "train",
            *_TARGET,
            "--data",
            "markov",
            "--budget",
            "1s",
            "--mode",
            "proxy",
            "--density",
            "0.5",
            "--out",
            "proxy",
        ),
        trains=True,
        by_budget=True,
    ),
    Command(
        "train-several",
        (
            *("train", *_HERE, "--mode", "full", "--density", "1,0.25", "--sparsity-algorithm", "rigl"),
            *("--mask-update-steps", "2", "--out", "full"),
        ),
        trains=True,
    ),
    Command("compare-run", ("compare", "full/tiny-density-0.25-rigl-linear-smupar-seed-0-full"), trains=True),
    Command(
        "simulate",
        (
            "simulate",
            "--model",
            "tiny.toml",
            "--batch-size",
            "4",
            "--mask-from",
            "full/tiny-density-0.25-rigl-linear-smupar-seed-0-full",
        ),
        trains=True,
    ),
    Command("export", ("export", "dense", "--out", "exported"), trains=True),
    Command("", ("report", "dense"), trains=True),
    Command(
        "sweep",
        (
            *("sweep", "--train", *_TARGET, "--set", "data=markov", "--steps", "3", "--mode", "dense", "--seed", "0,1"),
            *("--processes", "WORKERS", "--out", "swept"),
        ),
        trains=True,
    ),
]


def write_inputs(folder: Path) -> None:
    """What the commands read."""
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    (folder / "text.txt").write_text("".join(f"line {n} of a text that is made up\n" for n in range(20_000)))
    wafer_file(folder / "runs.csv")
    gpu_file(folder / "gpu-runs.csv")
    write_grid(folder / "grid", loss, seeds=(0, 1))
