"""The order of sequences is a permutation that nothing but seed, epoch and place decides."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import TrainOrder, in_memory, load_corpus
from training.data import permutation as module
from training.data.permutation import Feistel, permutation


@given(n=st.integers(1, 5000), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_an_order_in_constant_memory_has_each_number_once(n: int, seed: int, epoch: int) -> None:
    numbers = Feistel(n, seed, epoch).at(np.arange(n))
    assert np.array_equal(np.sort(numbers), np.arange(n))


@given(n=st.integers(2, 2**40), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_number_does_not_depend_on_what_is_asked_with_it(n: int, seed: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    order = Feistel(n, seed, 3)
    together = order.at(places)
    assert together.tolist() == [int(order.at(places[k : k + 1])[0]) for k in range(len(places))]
    assert ((together >= 0) & (together < n)).all()


def test_an_order_in_constant_memory_looks_drawn() -> None:
    n = 1 << 20
    numbers = Feistel(n, 0, 0).at(np.arange(n))
    # Each of 64 x 64 boxes of (place, number) holds 256 of them, within five standard deviations of that (16).
    boxes = np.bincount((np.arange(n) >> 14) * 64 + (numbers >> 14), minlength=4096)
    assert np.abs(boxes - 256).max() < 80
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 5e-3
    others = [Feistel(n, seed, epoch).at(np.arange(n)) for seed, epoch in ((0, 1), (1, 0))]
    assert all((numbers == other).sum() < 12 for other in others)  # one is expected


def test_few_sequences_keep_the_order_that_they_always_had() -> None:
    # As the version before drew it: runs that were interrupted then go on with the same data.
    assert permutation(10, 7, 2).at(np.arange(10)).tolist() == [8, 9, 4, 1, 0, 3, 6, 7, 2, 5]


@pytest.mark.parametrize("longest", [0, 1 << 22], ids=["worked out", "sorted"])
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=10))
@settings(max_examples=20, deadline=None)
def test_batches_of_any_sizes_are_one_order(longest: int, sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST_SORTED", longest)
        data = in_memory(np.arange(8 * 37 + 1, dtype=np.uint16), vocab_size=65536)
        whole, _ = TrainOrder(data, 8, seed=1).batch(0, sum(sizes))
        order, first, parts = TrainOrder(data, 8, seed=1), 0, []
        for size in sizes:
            parts.append(order.batch(first, size)[0])
            first += size
    assert torch.equal(whole, torch.cat(parts))


def test_a_file_of_ten_gigabytes_is_sampled_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(10**10)  # holes: the disk holds none of it
    corpus = load_corpus(str(path))
    assert corpus.train.n_tokens + corpus.val.n_tokens == 5 * 10**9
    order = TrainOrder(corpus.train, 1024, seed=0)
    order.batch(0, 8)
    before = psutil.Process().memory_info().rss
    for k in range(100):
        order.batch(k * 32, 32)
    assert psutil.Process().memory_info().rss - before < 10e6  # 26 MB of it were read, as int64
