"""Files of tokens: nanoGPT's, llm.c's, numpy's, Megatron's; what is wrong with one is said."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.data.writing import megatron, tokens_of
from training.data import TrainOrder, fitted, load_corpus
from training.data.side_car import smallest_dtype
from training.data.splits import split_places
from wse_sim.errors import SpecError

IDS = np.random.default_rng(0).integers(0, 1000, 5000)


def side_car(path: Path, **said: Any) -> None:
    path.with_suffix(".json").write_text(json.dumps(said))


def together(data: Path) -> np.ndarray[Any, Any]:
    """Both parts, in the order of the file, of which the last tenth is held out."""
    corpus = load_corpus(str(data))
    return np.concatenate([tokens_of(corpus.train), tokens_of(corpus.val)])


def test_a_folder_of_nanogpts_is_read_and_its_pickle_is_not(tmp_path: Path) -> None:
    IDS[:4000].astype("<u2").tofile(tmp_path / "train.bin")
    IDS[4000:].astype("<u2").tofile(tmp_path / "val.bin")
    (tmp_path / "meta.pkl").write_bytes(b"cos\nsystem\n(S'echo pickled'\ntR.")
    (tmp_path / "prepare.py").write_text("raise SystemExit")
    corpus = load_corpus(str(tmp_path))
    assert tokens_of(corpus.train).tolist() == IDS[:4000].tolist()
    assert tokens_of(corpus.val).tolist() == IDS[4000:].tolist()
    assert corpus.vocab_size is None
    assert "uint16" in corpus.notes[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32"])
def test_a_side_car_says_what_a_file_holds(tmp_path: Path, dtype: str) -> None:
    ids = IDS % 200
    ids.astype(dtype).tofile(tmp_path / "my.bin")
    side_car(tmp_path / "my.bin", dtype=dtype, vocab_size=200, n_tokens=5000, n_bytes=15000, tokenizer="t", sha256="ab")
    corpus = load_corpus(str(tmp_path / "my.bin"))
    assert together(tmp_path / "my.bin").tolist() == ids.tolist()
    assert (corpus.vocab_size, corpus.fingerprint.tokenizer, corpus.notes) == (200, "t", ())
    assert corpus.fingerprint.covers == "all, by the side-cars"
    assert corpus.val.n_bytes == 3 * corpus.val.n_tokens == 1500


def test_llm_cs_header_is_known(tmp_path: Path) -> None:
    for name, magic, version, dtype in (("gpt2", 20240520, 1, "<u2"), ("llama3", 20240801, 7, "<u4")):
        header = np.zeros(256, "<i4")
        header[:3] = magic, version, len(IDS)
        path = tmp_path / f"{name}.bin"
        path.write_bytes(header.tobytes() + IDS.astype(dtype).tobytes())
        assert together(path).tolist() == IDS.tolist()
        assert load_corpus(str(path)).fingerprint.tokenizer == name


def test_numpys_file_and_olmos_without_its_header(tmp_path: Path) -> None:
    np.save(tmp_path / "headed.npy", IDS.astype("<u4"))
    assert together(tmp_path / "headed.npy").tolist() == IDS.tolist()
    IDS.astype("<u4").tofile(tmp_path / "bare.npy")
    with pytest.raises(SpecError, match=r"not the header of a .npy file.*say of which kind in bare.json"):
        load_corpus(str(tmp_path / "bare.npy"))
    side_car(tmp_path / "bare.npy", dtype="uint32")
    assert together(tmp_path / "bare.npy").tolist() == IDS.tolist()


def test_shards_are_one_row_and_those_called_val_are_held_out(tmp_path: Path) -> None:
    for k, part in enumerate(np.split(IDS, 5)):
        part.astype("<u2").tofile(tmp_path / f"web_{'val' if k == 0 else 'train'}_{k:06d}.bin")
    corpus = load_corpus(str(tmp_path))
    assert tokens_of(corpus.val).tolist() == IDS[:1000].tolist()
    assert tokens_of(corpus.train).tolist() == IDS[1000:].tolist()
    inputs_BT, targets_BT = TrainOrder(corpus.train, 300, seed=0).batch(0, 13)  # over the edges of files
    assert sorted(inputs_BT[:, 0].tolist()) == sorted(IDS[1000:4900:300].tolist())
    assert inputs_BT[0, 1:].tolist() == targets_BT[0, :-1].tolist()


@pytest.mark.parametrize("n", [1, 9, 65536, 10**6, 10**8 + 7])
def test_a_tenth_of_a_row_is_held_out_and_nothing_is_lost(n: int) -> None:
    train, val = split_places(n)
    assert train[:, 1].sum() + val[:, 1].sum() == n
    assert n / 10 <= val[:, 1].sum() < n / 10 + 65
    edges = np.sort(np.concatenate([train, val]), axis=0)
    assert (edges[1:, 0] >= edges[:-1, 0]).all()


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")]
)
def test_ids_are_kept_in_the_least_room_that_holds_them(vocab_size: int, dtype: str) -> None:
    assert smallest_dtype(vocab_size) == dtype


def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    IDS.astype("<u2").tofile(tmp_path / "my.bin")
    corpus = load_corpus(str(tmp_path / "my.bin"))
    for find in (
        lambda: fitted(corpus, 990),  # before anything is trained
        lambda: TrainOrder(corpus.train.within(990), 16, seed=0).batch(0, 250),
    ):
        with pytest.raises(SpecError, match=r"a token has the id 99\d, the vocabulary has 990 entries"):
            find()
    side_car(tmp_path / "my.bin", dtype="uint16", vocab_size=1000)
    with pytest.raises(SpecError, match="their vocabulary has 1000 entries, the model's has 990"):
        fitted(load_corpus(str(tmp_path / "my.bin")), 990)


@pytest.mark.parametrize("place", [0, 4_499, 99_999, 199_999])
def test_an_id_outside_the_vocabulary_is_found_wherever_it_is(tmp_path: Path, place: int) -> None:
    ids = np.zeros(200_000, "<u2")
    ids[place] = 300
    ids.tofile(tmp_path / "my.bin")
    with pytest.raises(SpecError, match="a token has the id 300, the vocabulary has 290 entries"):
        fitted(load_corpus(str(tmp_path / "my.bin")), 290)
    assert fitted(load_corpus(str(tmp_path / "my.bin")), 301).vocab_size == 301


@pytest.mark.parametrize(
    ("content", "said", "words"),
    [
        (b"", None, "there is no token in it"),
        (b"abc", None, "3 bytes are no whole number of uint16"),
        (struct.pack("<3i", 20240520, 9, 1), None, "llm.c's header 20240520 of version 9; 1 would be right"),
        (
            np.zeros(256, "<i4").tobytes().replace(bytes(12), struct.pack("<3i", 20240520, 1, 9), 1),
            None,
            "is cut short",
        ),
        (bytes(8), {"dtype": "uint16", "n_tokens": 5}, "holds 4 uint16 tokens, .*my.json says 5"),
        (bytes(8), {"dtype": "float32"}, "is not the description of my.bin"),
        (bytes(8), {"type": "uint16"}, "is not the description of my.bin"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(
    tmp_path: Path, content: bytes, said: dict[str, Any] | None, words: str
) -> None:
    (tmp_path / "my.bin").write_bytes(content)
    if said is not None:
        side_car(tmp_path / "my.bin", **said)
    with pytest.raises(SpecError, match=words):
        load_corpus(str(tmp_path / "my.bin"))


@pytest.mark.parametrize("name", ["my.pkl", "my.zst", "my.tar", "my.pbin"])
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(SpecError, match="would be right"):
        load_corpus(str(tmp_path / name))


DOCUMENTS = [list(range(k, k + 3 + k % 40)) for k in range(600)]


@pytest.mark.parametrize(("code", "dtype"), [(8, "<u2"), (4, "<i4"), (5, "<i8")])
def test_megatrons_documents_follow_one_another_and_whole_ones_are_held_out(
    tmp_path: Path, code: int, dtype: str
) -> None:
    megatron(tmp_path / "web_text_document", DOCUMENTS, code=code, dtype=dtype)
    by_prefix, by_index, by_tokens = (
        load_corpus(str(tmp_path / f"web_text_document{suffix}")) for suffix in ("", ".idx", ".bin")
    )
    assert by_prefix.fingerprint.sha256 == by_index.fingerprint.sha256 == by_tokens.fingerprint.sha256
    train, val = tokens_of(by_prefix.train).tolist(), tokens_of(by_prefix.val).tolist()
    held_out, n = [], 0
    for k, document in enumerate(DOCUMENTS):  # each is found whole, in order, on one side
        if train[n : n + len(document)] == document:
            n += len(document)
        else:
            held_out.append(k)
    assert n == len(train)
    assert val == [token for k in held_out for token in DOCUMENTS[k]]
    assert 25 < len(held_out) < 100  # 61 expected, five standard deviations


def test_megatrons_sequences_may_lie_in_another_order_in_the_file(tmp_path: Path) -> None:
    path = megatron(tmp_path / "web", [[1, 2, 3], [4, 5], [6, 7, 8, 9]])
    index = bytearray(path.read_bytes())
    struct.pack_into("<3i3q", index, 34, 2, 4, 3, 6, 10, 0)  # lengths, then places in bytes
    path.write_bytes(bytes(index))
    assert together(path).tolist() == [4, 5, 6, 7, 8, 9, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: b"WRONG" + index[5:], "no index of Megatron's"),
        (lambda index: index[:9] + b"\x02" + index[10:], "version 2; 1 would be right"),
        (lambda index: index[:17] + b"\x07" + index[18:], "numbers are of kind 7, which holds no tokens"),
        (lambda index: index[:-8], "is cut short"),
        (lambda index: index[:20], "is cut short"),
        (lambda index: index[:-8] + struct.pack("<q", 2), "do not cover its 3 sequences"),
        (lambda index: index[:34] + struct.pack("<3i", 3, 2, 9) + index[46:], "is cut short: 9 tokens"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    path = megatron(tmp_path / "web", [[1, 2, 3], [4, 5], [6, 7, 8, 9]])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SpecError, match=words):
        load_corpus(str(path))
