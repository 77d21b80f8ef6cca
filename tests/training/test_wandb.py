"""Weights & Biases offline: every number once, under one id, and no network."""

import os
import re
import resource
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.training.test_loggers import CONFIG, MEASURED, expected
from training.data import Corpus
from training.loggers import make_loggers
from training.run_record import Row
from training.trainer import train


def wandb_records(path: Path) -> list[Any]:
    """The records of a `.wandb` file: LevelDB's log of blocks of 32 KiB, in each protobuf messages in pieces."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, records, piece = path.read_bytes(), [], b""
    assert content[:4] == b":W&B"
    at = 7
    while at < len(content):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        n_bytes, kind = struct.unpack_from("<HB", content, at + 4)
        piece += content[at + 7 : at + 7 + n_bytes]
        at += 7 + n_bytes
        if kind in (1, 4):  # whole, or the last piece
            records.append(Record.FromString(piece))
            piece = b""
    return records


def warnings_on_a_full_disk(run_dir: Path, corpus: Corpus) -> tuple[str, ...]:
    """What a run says in which the process that writes for Weights & Biases cannot let its file grow."""

    def fill_the_disk(row: Row) -> None:
        (file,) = run_dir.rglob("*.wandb")
        for process in psutil.Process().children(recursive=True):
            process.rlimit(psutil.RLIMIT_FSIZE, (file.stat().st_size + 10, resource.RLIM_INFINITY))

    return train(CONFIG, run_dir, corpus=corpus, loggers=make_loggers(["wandb"]), on_step=fill_the_disk).warnings


def test_wandb_has_every_number_once_under_one_id_and_reaches_for_no_network(corpus: Corpus, tmp_path: Path) -> None:
    """A server stands for the network, where nobody has knocked when both parts of the run are over.

    The folder there before is as the library names a run's second one within a second.
    """
    with socket.create_server(("127.0.0.1", 0)) as network:
        network.setblocking(False)
        address = f"http://127.0.0.1:{network.getsockname()[1]}"
        program = f"""
from pathlib import Path
from tests.training.test_loggers import crashed_and_resumed
from tests.training.test_wandb import warnings_on_a_full_disk
from training.data import load_corpus
from training.loggers import weights_and_biases
corpus, folder = load_corpus("markov"), Path({str(tmp_path)!r})
(folder / "run" / "wandb" / "offline-run-20200131_235959-k2v8q0xz-1").mkdir(parents=True)
crashed_and_resumed(folder / "run", corpus, "wandb")
weights_and_biases._SETTLE_S = 0.5
print(*warnings_on_a_full_disk(folder / "full", corpus), sep="\\n")
"""
        told = dict.fromkeys(("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address)
        home = {"HOME": str(tmp_path), "WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40}
        done = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | told | home, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(
            r"wandb failed .*\.wandb does not hold all that was logged, the disk may be full\n", done.stdout
        )
        with pytest.raises(BlockingIOError):
            network.accept()
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    (path,) = folder.glob("*.wandb")
    records = wandb_records(path)
    assert {record.run.run_id for record in records if record.HasField("run")} == {"k2v8q0xz"}
    logged: dict[str, dict[int, float]] = defaultdict(dict)
    for history in (record.history for record in records if record.HasField("history")):
        row = {item.key or item.nested_key[0]: msgspec.json.decode(item.value_json) for item in history.item}
        for name in row.keys() - {"_step", "_timestamp", "_runtime"}:
            assert row["_step"] not in logged[name]
            logged[name][row["_step"]] = row[name]
    assert logged == expected(tmp_path / "run")
    said = {record.WhichOneof("record_type") for record in records}
    assert not said & {"stats", "output", "output_raw", "files", "environment"}
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.project, run.display_name, run.host) == ("wse-sim", "run", "")
    config = {item.key: msgspec.json.decode(item.value_json) for item in run.config.update}
    assert config["shape"]["d_model"] == 32
    summary = {
        item.key or item.nested_key[0]: msgspec.json.decode(item.value_json)
        for record in records
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert summary["projected/loss"] == 2.25
    assert summary.keys() >= MEASURED
