"""Text of every kind becomes the same tokens, once; what is wrong with it is said."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer

import training.data.prepare
from tests.cli.documents import call, read_json
from tests.training.data.writing import json_lines, saved_dataset, texts, tokens_of
from training.config import TrainConfig
from training.data import document_files, load_corpus, reading_of, write_tokens
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

TEXTS = texts(300)
SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=64, vocab_size=300, seq_len=16)
CONFIG = TrainConfig(shape=SHAPE, n_steps=4, batch_size=4, seq_len=16, eval_interval=4, n_eval_sequences=8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wse-sim" / "tokens"


def two_frames(lines: str) -> bytes:
    middle = len(lines) // 2
    return b"".join(zstandard.ZstdCompressor().compress(part.encode()) for part in (lines[:middle], lines[middle:]))


TABLE = pa.table({"text": TEXTS, "n": list(range(300))})
WRITERS: dict[str, Callable[[Path], object]] = {
    "my.jsonl": lambda path: path.write_text(json_lines(TEXTS)),
    "my.jsonl.zst": lambda path: path.write_bytes(two_frames(json_lines(TEXTS))),
    "my.jsonl.gz": lambda path: path.write_bytes(gzip.compress(json_lines(TEXTS).encode())),
    "my.parquet": lambda path: pq.write_table(TABLE, path),
    "saved": lambda path: saved_dataset(path, TABLE, n_files=3),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_documents_in_any_file_are_the_same_bytes_and_a_tenth_is_held_out(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    corpus = load_corpus(str(tmp_path / name))
    train, val = (tokens_of(part).tobytes().decode().split("\0")[:-1] for part in (corpus.train, corpus.val))
    assert sorted(train + val) == sorted(TEXTS)
    assert 5 < len(val) < 56
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "other.jsonl").write_text(json_lines(TEXTS[::-1]))
    again = load_corpus(str(tmp_path / "again"))
    assert set(tokens_of(again.val).tobytes().decode().split("\0")[:-1]) == set(val)  # by content, not by place
    assert (corpus.train.n_bytes, corpus.fingerprint.tokenizer) == (corpus.train.n_tokens, "bytes")


def test_files_and_splits_called_validation_are_held_out_and_those_called_test_left_out(tmp_path: Path) -> None:
    for name, part in (("train/a.jsonl", TEXTS[:100]), ("val.jsonl", TEXTS[100:120]), ("test.jsonl", TEXTS[120:])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json_lines(part))
    assert tokens_of(load_corpus(str(tmp_path)).val).tobytes().decode() == "\0".join([*TEXTS[100:120], ""])
    dataset = tmp_path / "dict"
    for split, part in (("train", TABLE.slice(0, 100)), ("validation", TABLE.slice(100, 20))):
        saved_dataset(dataset / split, part)
    (dataset / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    assert tokens_of(load_corpus(str(dataset)).val).tobytes().decode() == "\0".join([*TEXTS[100:120], ""])


def test_few_documents_are_split_in_blocks_that_cut_no_character(tmp_path: Path) -> None:
    text = "x" + "".join(f"λ{k}" for k in range(30_000))
    (tmp_path / "my.jsonl").write_text(json_lines([text]))
    corpus = load_corpus(str(tmp_path / "my.jsonl"))
    pieces = [
        piece for part in (corpus.train, corpus.val) for piece in tokens_of(part).tobytes().decode().split("\0")[:-1]
    ]
    assert sum(map(len, pieces)) == len(text)


def test_ids_in_a_column_are_taken_as_they_are(tmp_path: Path) -> None:
    ids = [list(range(k, k + 50)) for k in range(250)]
    for path, kind in (("a.parquet", pa.list_(pa.int32())), ("b.parquet", pa.large_list(pa.int64()))):
        pq.write_table(pa.table({"input_ids": pa.array(ids, kind)}), tmp_path / path)
    corpus = load_corpus(str(tmp_path / "*.parquet"))
    assert (corpus.vocab_size, corpus.train.n_bytes) == (None, None)
    rows = np.concatenate([tokens_of(part).reshape(-1, 50) for part in (corpus.train, corpus.val)])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, ids * 2))
    with pytest.raises(SpecError, match="holds tokens already, in the column 'input_ids'"):
        load_corpus(str(tmp_path / "a.parquet"), tokenizer="bpe:300")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "nothing is to train on: 0 pieces"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"body": "b", "meta": 1}\n',
            "line 2 has no field 'text'; its fields are 'body', 'meta'",
        ),
        ("a.jsonl", b'{"text": "a"}\nnothing\n', "line 2 is no JSON"),
        ("a.jsonl", b'{"text": "a\xff"}\n', "line 1 is no JSON in UTF-8"),
        ("a.jsonl", b'["text"]\n', "line 1 is no JSON object"),
        ("a.jsonl", b'{"text": 7}\n', "the field 'text' is no text but '7'"),
        ("a.jsonl.zst", b"not compressed", "is damaged, or no zstd file"),
        ("a.jsonl.zst", two_frames(json_lines(TEXTS))[:-30], "is cut short"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n', mtime=0)[:-9], "is no whole gzip file"),
        ("a.arrow", b"not a table", "is no Arrow or Parquet file"),
        ("a.parquet", b"not a table", "is no Arrow or Parquet file"),
    ],
)
def test_damaged_text_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, cache: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=words):
        load_corpus(str(tmp_path / name))
    assert [path for path in cache.glob("*") if not path.name.endswith(".lock")] == []


def test_another_field_holds_the_text_if_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS, field="body"))
    assert load_corpus(str(tmp_path / "a.jsonl"), text_field="body").train.n_tokens > 10**4
    pq.write_table(pa.table({"body": TEXTS}), tmp_path / "a.parquet")
    with pytest.raises(SpecError, match="has no column 'text' and none 'input_ids'; there are 'body'"):
        load_corpus(str(tmp_path / "a.parquet"))


def test_a_folder_of_text_with_other_files_in_it_is_text_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1\n" * 2000)
    (tmp_path / "weights.npy").write_bytes(bytes(8))
    corpus = load_corpus(str(tmp_path))
    assert (corpus.fingerprint.n_files, corpus.fingerprint.n_bytes) == (2, 12008)


def test_bpe_is_learnt_from_the_part_to_train_on_and_is_the_same_every_time(tmp_path: Path) -> None:
    secret = "held-out-word " * 500
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(json_lines(TEXTS))
    (tmp_path / "data" / "val.jsonl").write_text(json_lines([secret]))
    files = document_files(str(tmp_path / "data"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_tokens(files, "bpe:300", tmp_path / name)
    written = [sorted(path.read_bytes() for path in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert written[0] == written[1]
    corpus = load_corpus(str(tmp_path / "one"))
    learnt = Tokenizer.from_file(str(tmp_path / "one" / "tokenizer.json"))
    assert learnt.get_vocab_size() == corpus.vocab_size == 300
    assert "held" not in " ".join(learnt.get_vocab())
    end = learnt.token_to_id("<|endoftext|>")
    ids = tokens_of(corpus.train)
    documents = np.split(ids, np.flatnonzero(ids == end) + 1)[:-1]
    assert [learnt.decode(document[:-1].tolist()) for document in documents] == TEXTS
    assert corpus.train.n_bytes == sum(len(text.encode()) + 1 for text in TEXTS)


def test_a_tokenizer_of_ones_own_is_read_from_its_file_and_from_gpt_2s_two(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS))
    made = tmp_path / "made"
    made.mkdir()
    write_tokens(document_files(str(tmp_path / "a.jsonl")), "bpe:320", made)
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    (tmp_path / "gpt2").mkdir()
    tokenizer.model.save(str(tmp_path / "gpt2"))
    by_file, by_pair = (
        load_corpus(str(tmp_path / "a.jsonl"), tokenizer=str(tmp_path / name)) for name in ("made", "gpt2")
    )
    assert tokens_of(by_file.train).tolist() == tokens_of(by_pair.train).tolist()
    assert by_file.fingerprint.tokenizer.startswith("tokenizer.json (")
    assert reading_of(str(tmp_path / "a.jsonl"), tokenizer=str(made)).vocab_size == 320


@pytest.mark.parametrize(
    ("tokenizer", "words"),
    [
        ("bpe:many", "a vocabulary of 'many' entries cannot be trained"),
        ("bpe:100", "257 is the least"),
        ("nowhere.json", "there is no such file, nor a folder with tokenizer.json"),
        ("a.jsonl", "is none that the library reads"),
    ],
)
def test_tokenizers_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text(json_lines(TEXTS))
    with pytest.raises(SpecError, match=words):
        load_corpus("a.jsonl", tokenizer=tokenizer)


def test_text_that_is_not_utf_8_is_read_as_bytes_alone(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("naïve ".encode("latin-1") * 5000)
    assert load_corpus(str(tmp_path / "latin.txt")).train.n_tokens > 20000
    with pytest.raises(SpecError, match="a text is not UTF-8"):
        load_corpus(str(tmp_path / "latin.txt"), tokenizer="bpe:300")


@pytest.mark.parametrize(
    ("library", "name", "tokenizer"),
    [("zstandard", "a.jsonl.zst", "bytes"), ("tokenizers", "a.txt", "bpe:300"), ("h5py", "a.h5", "bytes")]
    + [("pyarrow", name, "bytes") for name in ("a.parquet", "a.arrow")],
)
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str, tokenizer: str
) -> None:
    for module in (library, f"{library}.types", "compression.zstd"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / name).write_bytes(b"text " * 9000)
    with pytest.raises(SpecError, match=rf"{library} is not installed.*pip --python .* install {library}"):
        load_corpus(str(tmp_path / name), tokenizer=tokenizer)


def test_tokens_are_made_once_even_by_two_at_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS))
    made, write = [], training.data.prepare.write_tokens
    monkeypatch.setattr(training.data.prepare, "write_tokens", lambda *args: made.append(1) or write(*args))
    done: list[str] = []
    threads = [
        threading.Thread(target=lambda: done.append(load_corpus(str(tmp_path / "a.jsonl")).fingerprint.sha256))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(set(done)), len(done)) == (1, 1, 3)
    assert not list(cache.glob("*.part"))
    (tmp_path / "a.jsonl").write_text(json_lines(texts(300, seed=1)))
    assert load_corpus(str(tmp_path / "a.jsonl")).fingerprint.sha256 not in done


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(two_frames(json_lines(TEXTS)))
    told: list[Any] = []
    load_corpus(str(tmp_path / "a.jsonl.zst"), tokenizer="bpe:300", on_progress=told.append)
    size = (tmp_path / "a.jsonl.zst").stat().st_size
    assert {(each.n_bytes, each.n_bytes_in_all) for each in told if each.n_bytes >= size} == {(size, size)}
    assert list(dict.fromkeys(each.what for each in told)) == ["training bpe:300", "tokenizing"]


def test_a_run_on_tokens_says_bits_per_byte_keeps_the_tokenizer_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS))
    config = msgspec.structs.replace(CONFIG, data=str(tmp_path / "a.jsonl"), tokenizer="bpe:300", checkpoint_interval=2)
    corpus = load_corpus(config.data, tokenizer="bpe:300")
    record = train(config, tmp_path / "run")
    assert corpus.val.n_bytes is not None
    assert record.val_bits_per_byte == pytest.approx(
        record.val_loss / np.log(2) * corpus.val.n_tokens / corpus.val.n_bytes
    )
    assert corpus.tokenizer_file is not None
    assert (tmp_path / "run" / "tokenizer.json").read_bytes() == corpus.tokenizer_file.read_bytes()
    for name in ("step-00000004.json", "step-00000004.safetensors"):
        (tmp_path / "run" / "checkpoints" / name).unlink()
    resumed = train(config, tmp_path / "run", resume=True)
    assert [row.loss for row in resumed.rows] == [row.loss for row in record.rows]
    with pytest.raises(SpecError, match="it cannot be resumed with 'bytes'"):
        train(msgspec.structs.replace(config, tokenizer="bytes"), tmp_path / "run", resume=True)


def test_where_nobody_knows_the_text_bits_per_byte_are_null(tmp_path: Path) -> None:
    np.random.default_rng(0).integers(0, 300, 4000).astype("<u2").tofile(tmp_path / "a.bin")
    record = train(msgspec.structs.replace(CONFIG, data=str(tmp_path / "a.bin")), tmp_path / "run")
    assert record.val_bits_per_byte is None
    assert all(
        json.loads(line)["bits_per_byte"] is None for line in (tmp_path / "run" / "run.jsonl").read_text().splitlines()
    )


def test_no_data_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text")
    with pytest.raises(SpecError, match="data '': there is no such file or folder"):
        load_corpus("")


def test_the_synthetic_source_takes_parameters_and_tells_its_entropy() -> None:
    corpus = load_corpus("markov:seed=3,order=2,n_symbols=4,n_bytes=200000")
    ids = tokens_of(corpus.val).astype(np.int64)
    counts = np.zeros((16, 4))
    np.add.at(counts, (ids[:-2] * 4 + ids[1:-1], ids[2:]), 1)
    share = counts / counts.sum(axis=1, keepdims=True)
    # Of the joints of chains, one place in 64 is not of the chain.
    assert corpus.entropy_nats == pytest.approx(-(counts * np.log(share)).sum() / counts.sum(), rel=0.05)
    for data, words in (("markov:ordr=2", "did you mean 'order'"), ("markov:order=x", "it must be a whole number")):
        with pytest.raises(SpecError, match=words):
            load_corpus(data)
    with pytest.raises(SpecError, match="has nothing to do"):
        load_corpus("markov", tokenizer="bpe:300")


def test_prepare_fills_a_folder_that_train_takes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS))
    result = call("prepare", tmp_path / "a.jsonl", "--tokenizer", "bpe:300", "--out", tmp_path / "out", "--json")
    content = read_json(result.stdout)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "tokenizer.json", "train.bin", "train.json", "val.bin", "val.json",
    ]  # fmt: skip
    corpus = load_corpus(str(tmp_path / "out"))
    assert (content["train"]["n_tokens"], content["val"]["n_bytes"]) == (corpus.train.n_tokens, corpus.val.n_bytes)
    refused = call("prepare", tmp_path / "out", "--out", tmp_path / "out2")
    assert refused.exit_code == 2
    assert "holds tokens already" in refused.stderr
    assert call("prepare", tmp_path / "a.jsonl", "--tokenizer", "nowhere", "--out", tmp_path / "out2").exit_code == 2
    assert not (tmp_path / "out2").exists()


def test_bytes_that_were_prepared_are_still_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(TEXTS))
    write_tokens(document_files(str(tmp_path / "a.jsonl")), "bytes", tmp_path)
    assert all(reading_of(str(tmp_path / name)).is_bytes for name in ("a.jsonl", "train.bin", "val.bin"))
    (tmp_path / "train.json").write_text('{"dtype": "uint8"}')
    assert not reading_of(str(tmp_path / "train.bin")).is_bytes
