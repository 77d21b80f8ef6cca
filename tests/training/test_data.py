"""The corpus is split by content, its order depends on seed and position alone, and the synthetic source is exact."""

import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data import (
    TokenSource,
    TokenStream,
    TrainOrder,
    held_out_batches,
    in_memory,
    load_corpus,
    require_enough,
)
from training.data.text import standard_library
from training.markov import MarkovSource
from wse_sim.errors import SpecError


def _folder(tmp_path: Path, n_files: int) -> Path:
    for number in range(n_files):
        (tmp_path / f"{number:03d}.txt").write_text(f"file {number} " * 20)
    return tmp_path


def everything(part: TokenSource) -> np.ndarray:
    assert isinstance(part, TokenStream)
    return part.tokens(0, part.n_tokens)


def test_standard_library_is_read_without_tests_and_packages() -> None:
    root = Path(sysconfig.get_path("stdlib"))
    names = [path.relative_to(root).as_posix() for path in standard_library()]
    assert "os.py" in names
    assert names == sorted(names)
    folders = {folder for name in names for folder in name.split("/")[:-1]}
    assert "json" in folders
    assert not folders & {"test", "tests", "site-packages"}


def test_no_file_is_in_both_parts_even_under_two_names(tmp_path: Path) -> None:
    folder = _folder(tmp_path, 200)
    (folder / "copy").mkdir()
    for path in list(folder.glob("*.txt")):
        (folder / "copy" / path.name).write_bytes(path.read_bytes())
    corpus = load_corpus(str(folder))
    train, val = (set(everything(part).tobytes().split(b"\0")) for part in (corpus.train, corpus.val))
    assert train | val == {path.read_bytes() for path in folder.glob("*.txt")}
    assert not train & val
    assert 5 <= len(val) <= 45  # a tenth of 200, four standard deviations
    assert corpus.fingerprint.n_files == 400


def test_fingerprint_tells_a_changed_byte(tmp_path: Path) -> None:
    folder = _folder(tmp_path, 30)
    before = load_corpus(str(folder)).fingerprint
    assert before == load_corpus(str(folder)).fingerprint
    (folder / "000.txt").write_text("file x " * 20)
    after = load_corpus(str(folder)).fingerprint
    assert after.sha256 != before.sha256


def test_one_file_is_split_in_blocks(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_bytes(b"".join(bytes([97 + number % 26]) * 100 + str(number).encode() for number in range(4000)))
    corpus = load_corpus(str(file))
    assert corpus.val.n_tokens > 4096
    assert corpus.train.n_tokens > corpus.val.n_tokens


def test_too_small_a_corpus_says_how_much_is_there_and_needed(tmp_path: Path) -> None:
    corpus = load_corpus(str(_folder(tmp_path, 30)))
    with pytest.raises(SpecError, match=rf"{corpus.train.n_tokens} bytes.*at least 65537"):
        require_enough(corpus, seq_len=4096, batch_size=16)


def test_missing_and_empty_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_corpus(str(tmp_path / "nowhere"))
    with pytest.raises(SpecError, match="no file with text"):
        load_corpus(str(tmp_path))


def test_order_does_not_depend_on_batch_size() -> None:
    data = np.arange(4001, dtype=np.int64).astype(np.uint8)
    one, many = TrainOrder(in_memory(data), 16, seed=5), TrainOrder(in_memory(data), 16, seed=5)
    singly = torch.cat([one.batch(position, 1)[0] for position in range(600)])
    together = torch.cat([many.batch(position, 40)[0] for position in range(0, 600, 40)])
    assert torch.equal(singly, together)
    assert not torch.equal(
        singly, torch.cat([TrainOrder(in_memory(data), 16, seed=6).batch(p, 1)[0] for p in range(600)])
    )


def test_each_sequence_comes_once_per_epoch_in_a_new_order() -> None:
    data = np.repeat(np.arange(250, dtype=np.uint8), 8)[: 249 * 8 + 1]
    order = TrainOrder(in_memory(data), 8, seed=0)
    epochs = [[int(order.batch(epoch * 249 + index, 1)[0][0, 0]) for index in range(249)] for epoch in (0, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(249))
    assert epochs[0] != epochs[1]


def test_targets_are_the_next_bytes() -> None:
    data = np.arange(200, dtype=np.uint8)
    inputs_BT, targets_BT = TrainOrder(in_memory(data), 16, seed=0).batch(0, 4)
    assert torch.equal(targets_BT, inputs_BT + 1)
    assert inputs_BT.shape == (4, 16)
    assert inputs_BT.dtype == torch.int64


def test_held_out_sequences_are_spread_and_do_not_overlap() -> None:
    data = np.arange(1601, dtype=np.int64).astype(np.uint8)
    batches = held_out_batches(in_memory(data), seq_len=16, n_sequences=10, batch_size=4)
    assert [len(inputs_BT) for inputs_BT, _ in batches] == [4, 4, 2]
    firsts = torch.cat([inputs_BT[:, 0] for inputs_BT, _ in batches])
    assert firsts.tolist() == [(start * 160) % 256 for start in range(10)]
    assert (
        sum(
            len(inputs) for inputs, _ in held_out_batches(in_memory(data), seq_len=16, n_sequences=10**6, batch_size=64)
        )
        == 100
    )


def test_synthetic_source_has_the_entropy_that_it_states() -> None:
    source = MarkovSource(seed=1)
    sample = source.sample(0, 1 << 20).astype(np.int64)
    log_probability = np.log(source.transitions)[sample[:-1], sample[1:]]
    # Chains laid end to end: one transition in 1024 is not of the chain.
    assert -log_probability.mean() == pytest.approx(source.entropy_rate_nats, rel=5e-3)
    counts = np.bincount(sample[:-1] * 16 + sample[1:], minlength=256).reshape(16, 16)
    assert np.abs(counts / counts.sum(axis=1, keepdims=True) - source.transitions).max() < 0.02
