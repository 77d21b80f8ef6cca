"""Processes that `torchrun` starts train the model that one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tests.cli.documents import call, printed
from tests.training.torchrun_script import (
    BAD_STEPS,
    COMMAND,
    CONFIG,
    CONFIGS,
    MASKED,
    N_STEPS,
    POISONED,
    STOPPED_AFTER,
    computed,
    steps,
)
from training.checkpoint import load_latest
from training.config import read_config
from training.data import Corpus, TrainOrder
from training.distributed import World, alone, joined
from training.trainer import train
from wse_sim.errors import SpecError

ROOT = Path(__file__).parents[2]
N_PROCESSES = 2
# Sums over halves of a batch round otherwise than sums over all of it, in the last of 24 bits: 6e-8 of a number. What
# that becomes in 20 steps was measured over five seeds: up to 2e-7 of the loss, 1e-6 of the gradient's norm, and under
# `fsdp` 3e-6 of it, because PyTorch's norm of a tensor sums squares one by one in 32 bits, and of shards fewer of them.
CLOSE = 1e-5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have been."""
    folder = tmp_path_factory.mktemp("torchrun")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={N_PROCESSES}"]
    done = subprocess.run(
        [*launcher, "-m", "tests.training.torchrun_script", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},  # PyTorch has crashed here once, and nothing told where
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> list[dict[str, Any]]:
    """What each of them saw."""
    return [msgspec.json.decode((folder / f"told-{rank}.json").read_bytes()) for rank in range(N_PROCESSES)]


def test_processes_know_each_other(told: list[dict[str, Any]]) -> None:
    assert [of["rank"] for of in told] == [0, 1]
    for of in told:
        assert (of["size"], of["mean"], of["any"], of["is_left"]) == (N_PROCESSES, 0.5, [False, True], True)


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_masks_are_those_of_one_process(told: list[dict[str, Any]], corpus: Corpus, name: str) -> None:
    first, second = (of["steps"][name] for of in told)
    assert first == second
    one = steps(CONFIGS[name], corpus)
    assert len(first["loss"]) == N_STEPS
    for key in ("loss", "grad_norm", "val_loss"):
        assert first[key] == pytest.approx(one[key], rel=CLOSE), key
    for key in ("masks", "ever_live", "n_params"):
        assert first[key] == one[key], key


@pytest.mark.parametrize("name", MASKED)
def test_the_loss_is_the_mean_of_all_targets_that_count_in_whichever_process(
    told: list[dict[str, Any]], corpus: Corpus, name: str
) -> None:
    one = steps(CONFIGS[name], corpus, is_masked=True)
    for of in told:
        for key in ("loss", "grad_norm", "val_loss"):
            assert of["masked"][name][key] == pytest.approx(one[key], rel=CLOSE), key


@pytest.mark.parametrize("name", POISONED)
def test_all_skip_a_step_in_which_one_process_has_no_number(
    told: list[dict[str, Any]], corpus: Corpus, name: str
) -> None:
    first, second = (of["poisoned"][name] for of in told)
    assert first == second
    assert [step for step, loss in enumerate(first["loss"]) if loss is None] == list(BAD_STEPS)
    one = steps(CONFIGS[name], corpus, is_poisoned=True)
    for key in ("loss", "grad_norm"):
        assert [value is None for value in first[key]] == [value is None for value in one[key]]
        good = [[value for value in of[key] if value is not None] for of in (first, one)]
        assert good[0] == pytest.approx(good[1], rel=CLOSE), key
    for key in ("masks", "ever_live"):
        assert first[key] == one[key], key


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_all_stop_after_the_same_step_and_go_on_bit_for_bit(
    told: list[dict[str, Any]], folder: Path, sharding: str
) -> None:
    first, second = (of["interrupted"][sharding] for of in told)
    assert first == second
    assert first["stopped_after"] == STOPPED_AFTER
    assert first["resumed"] == first["whole"]
    assert len(first["whole"]) == N_STEPS
    whole, resumed = (
        folder / sharding / run / "checkpoints" / f"step-{N_STEPS:08}.safetensors" for run in ("whole", "broken")
    )
    assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_one_process_goes_on_where_two_stopped(
    told: list[dict[str, Any]], folder: Path, corpus: Corpus, sharding: str
) -> None:
    run_dir = folder / sharding / "copy"
    record = train(read_config(run_dir / "config.toml"), run_dir, corpus=corpus, resume=True)
    rows, whole = computed(record.rows), told[0]["interrupted"][sharding]["whole"]
    assert rows[:STOPPED_AFTER] == whole[:STOPPED_AFTER]
    for key in ("loss", "grad_norm"):
        assert [row[key] for row in rows] == pytest.approx([row[key] for row in whole], rel=CLOSE), key
    assert record.val_loss == pytest.approx(whole[-1]["val_loss"], rel=CLOSE)
    here, there = (load_latest(of)[0] for of in (run_dir, folder / sharding / "whole"))
    assert here is not None
    assert there is not None
    assert all(np.array_equal(mask, there.masks[name]) for name, mask in here.masks.items())
    assert all(np.array_equal(bits, there.ever_live[name]) for name, bits in here.ever_live.items())


def test_the_first_process_alone_writes(folder: Path) -> None:
    for sharding in ("ddp", "fsdp"):
        assert sorted(path.name for path in (folder / sharding).iterdir()) == ["broken", "copy", "whole"]
        whole = folder / sharding / "whole"
        assert sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*")) == [
            "checkpoints",
            "checkpoints/step-00000010.json",
            "checkpoints/step-00000010.safetensors",
            "checkpoints/step-00000012.json",
            "checkpoints/step-00000012.safetensors",
            "config.toml",
            "run.jsonl",
            "sparsity.jsonl",
            "tensorboard",
            "tensorboard/events.out.tfevents.0000000000.wse-sim",
        ]
        assert len((whole / "run.jsonl").read_text().splitlines()) == N_STEPS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "batch_size",
            "batch_size is 5, 2 processes cannot share it equally; a multiple of 2 would be right, such as 6",
        ),
        ("microbatch", "execution.microbatch is 1, 2 processes cannot share it equally"),
        ("streaming", "'streaming', which works in one process, and there are 2"),
        ("another seed", "the 2 processes do not start from the same configuration"),
        ("no room to save", "the folder cannot be made"),
        ("run there", "there is a run in this folder already"),
    ],
)
def test_every_process_says_why_a_run_cannot_be(told: list[dict[str, Any]], name: str, words: str) -> None:
    for of in told:
        assert words in of["refusals"][name]


def test_the_command_prints_one_summary_of_the_same_run(
    told: list[dict[str, Any]], folder: Path, model: str, tmp_path: Path
) -> None:
    first, second = (of["command"] for of in told)
    assert first["exit_code"] == second["exit_code"] == 0, first["stderr"] + second["stderr"]
    assert second["stdout"] == ""
    assert (first["stderr"] + second["stderr"]).count("itself trains, as was asked") == 1
    two = json.loads(first["stdout"])
    assert two == json.loads((folder / "command" / "summary.json").read_text())
    one = printed("train", "--model", model, *COMMAND, "--out", tmp_path / "one")
    assert two["measured"]["val_loss"] == pytest.approx(one["measured"]["val_loss"], rel=CLOSE)
    assert two["measured"]["nonzero_params"] == one["measured"]["nonzero_params"]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shares_of_a_batch_are_the_batch(corpus: Corpus, size: int) -> None:
    batch = TrainOrder(corpus.train, CONFIG.seq_len, CONFIG.seed).batch(24, CONFIG.batch_size)
    cpu = torch.device("cpu")
    shares = [World(device=cpu, rank=rank, size=size).share(batch) for rank in range(size)]
    assert all(len(inputs_BT) == CONFIG.batch_size // size for inputs_BT, _ in shares)
    for number, of in enumerate(batch):
        assert torch.equal(torch.cat([share[number] for share in shares]), of)


def test_one_process_needs_no_others() -> None:
    with joined("cpu") as world:
        assert (world.rank, world.size) == (0, 1)
        assert (world.mean(0.1), world.any(True), world.from_first("word")) == (0.1, True, "word")
        assert not torch.distributed.is_initialized()


def test_a_process_that_was_told_no_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SpecError, match="start the processes with torchrun"), joined("cpu"):
        pass


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("WORLD_SIZE", "abc", "a whole number of at least 1"),
        ("WORLD_SIZE", "", "a whole number of at least 1"),
        ("WORLD_SIZE", "0", "a whole number of at least 1"),
        ("LOCAL_RANK", "first", "a whole number of at least 0"),
        ("RANK", "2", "a whole number of at least 0 and at most 1"),
        ("RANK", "-1", "a whole number of at least 0 and at most 1"),
        ("MASTER_ADDR", "nowhere.invalid", "that of the first process would be right"),
        ("MASTER_ADDR", "a" * 80, "that of the first process would be right"),
    ],
)
def test_a_process_that_was_told_a_place_that_cannot_be_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
) -> None:
    told = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for variable, said in (told | {name: value}).items():
        monkeypatch.setenv(variable, said)
    with pytest.raises(SpecError, match=rf"^{name} is '{value}': .*{right}"), joined("cpu"):
        pass
    refused = call("train", "--model", "111m", "--out", "never")  # by a process that is not the first one, too
    assert (refused.exit_code, refused.stderr.count("error: "), f"{name} is" in refused.stderr) == (2, 1, True)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match="no GPU here; 'cpu' would be right"):
        alone("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    with (
        pytest.raises(SpecError, match=r"process 3 .* no GPU of its own: there are 2; --nproc_per_node=2"),
        joined("cuda"),
    ):
        pass
