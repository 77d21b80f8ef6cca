"""Cerebras' HDF5 files: samples with a loss mask, and tokens in a row."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.training.data.writing import tokens_of
from training.data import TrainOrder, held_out_batches, load_corpus
from wse_sim.errors import SpecError

RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 300, (60, 33))
MASK = RANDOM.random((60, 32)) < 0.7
SAMPLES = np.stack([IDS[:, :-1], MASK, IDS[:, 1:]], axis=1).astype(np.int32)


def write(path: Path, data: Any, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "data", data=data, chunks=(1, *data.shape[1:]) if data.ndim > 1 else True, compression="gzip"
        )
        file.attrs.update(attributes)
    return path


def test_samples_come_as_they_are_and_masked_targets_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "data-00000.h5", SAMPLES[:40], n_examples=40)
    write(tmp_path / "data-00001.h5", SAMPLES[40:], n_examples=20)
    corpus = load_corpus(str(tmp_path))
    assert corpus.train.longest_seq_len == 32
    inputs_BT, targets_BT = TrainOrder(corpus.train, 32, seed=0).batch(0, corpus.train.n_sequences(32))
    held_out = held_out_batches(corpus.val, seq_len=32, n_sequences=99, batch_size=99)
    rows = {tuple(row): tuple(target) for row, target in zip(inputs_BT.tolist(), targets_BT.tolist(), strict=True)}
    rows |= {tuple(r): tuple(t) for x, y in held_out for r, t in zip(x.tolist(), y.tolist(), strict=True)}
    wanted = np.where(MASK, IDS[:, 1:], -1)
    assert rows == {tuple(row): tuple(t) for row, t in zip(IDS[:, :-1].tolist(), wanted.tolist(), strict=True)}


def test_shorter_sequences_are_parts_of_samples(tmp_path: Path) -> None:
    corpus = load_corpus(str(write(tmp_path / "my.h5", SAMPLES)))
    numbers = np.arange(corpus.train.n_sequences(10))
    inputs_BT, _ = corpus.train.read(numbers, 10)  # 3 of each sample; the last two places are left out
    n = corpus.train.n_tokens // 32
    first = [k for k in range(60) if (inputs_BT[::3] == IDS[k, :10]).all(axis=1).any()]
    assert inputs_BT.reshape(n, 30).tolist() == IDS[first, :30].tolist()
    with pytest.raises(SpecError, match="samples have 32 tokens, sequences of 33 cannot be cut out"):
        corpus.train.n_sequences(33)


@pytest.mark.parametrize(("content", "is_theirs"), [(b"{}", True), (b"[]", False)])
def test_the_tokenizer_beside_it_is_taken_if_the_side_car_means_it(
    tmp_path: Path, content: bytes, is_theirs: bool
) -> None:
    path = write(tmp_path / "a.h5", np.arange(4000, dtype=np.int32) % 256)
    said = {"dtype": "int32", "tokenizer": "t", "tokenizer_sha256": sha256(b"{}").hexdigest()}
    (tmp_path / "a.json").write_text(json.dumps(said), encoding="utf-8")
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert load_corpus(str(path)).tokenizer_file == (tmp_path / "tokenizer.json" if is_theirs else None)


def test_a_corpus_is_cut_as_asked(tmp_path: Path) -> None:
    corpus = load_corpus(str(write(tmp_path / "my.h5", IDS.reshape(-1).astype(np.int32))))
    assert np.concatenate([tokens_of(corpus.train), tokens_of(corpus.val)]).tolist() == IDS.reshape(-1).tolist()


@pytest.mark.parametrize(
    ("data", "attributes", "words"),
    [
        (SAMPLES[:, :2], {}, r"is of shape \(60, 2, 32\); \(n, 3, length\) or \(n,\) would be right"),
        (np.zeros((4, 5, 8), np.int32), {}, "packed for variable sequence lengths"),
        (SAMPLES.astype(np.float32), {}, "holds float32; whole numbers would be right"),
        (SAMPLES, {"n_examples": 61}, "n_examples is 61, and data has 60 samples"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, data: Any, attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        load_corpus(str(write(tmp_path / "my.h5", data, **attributes)))


def test_what_is_no_such_file_or_differs_from_its_neighbours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.h5").write_bytes(b"text")
    with pytest.raises(SpecError, match="is no HDF5 file that can be read"):
        load_corpus(str(tmp_path / "no.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("tokens", data=[1, 2])
    with pytest.raises(SpecError, match="has no data set 'data'; there is tokens"):
        load_corpus(str(tmp_path / "other.h5"))
    folder = tmp_path / "mixed"
    folder.mkdir()
    write(folder / "a.h5", SAMPLES)
    write(folder / "b.h5", SAMPLES[:, :, :16])
    with pytest.raises(SpecError, match=r"b.h5: its samples are of shape \(3, 16\), those of .*a.h5 of \(3, 32\)"):
        load_corpus(str(folder))
