"""Runs written for the stock library: it finds what it needs, and computes the logits that the run's model does."""

import json
from hashlib import sha256
from itertools import chain, product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.torch
import tokenizers
import torch
import transformers

from models.hugging_face import HuggingFaceWeights, load_gpt, read_tensors
from models.hugging_face.byte_tokenizer import byte_tokenizer
from models.masks import MASK_SUFFIX
from models.parametrization import forward_multipliers
from tests.hugging_face.stock import (
    BASE,
    GPT2,
    LLAMA,
    SAME,
    TOKENS_BT,
    difference,
    loaded,
    own_logits,
    small_run,
    stock_logits,
    train,
    trained_model,
)
from training import trainer
from training.checkpoint import load_latest
from training.config import InitFrom
from training.data import load_corpus, reading_of
from training.execution import Execution
from training.executors import make_executor
from training.export import export
from training.imported import imported, other_tokens
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

STREAMING = Execution(executor="streaming", precision="fp32")
PLAIN = msgspec.structs.replace(GPT2, has_biases=False, feed_forward="gelu_tanh")
BIASED_LLAMA = msgspec.structs.replace(LLAMA, has_biases=True, is_tied=False, n_kv_heads=1)


@pytest.mark.parametrize(
    ("shape", "parametrization", "density"),
    [
        *product((GPT2, PLAIN), ("sp", "mup", "smupar", "completep"), (1.0, 0.25)),
        *product((LLAMA, BIASED_LLAMA), ("sp", "completep"), (0.25,)),
    ],
)
def test_the_stock_model_computes_the_runs_logits(
    shape: ModelShape, parametrization: str, density: float, tmp_path: Path
) -> None:
    train(small_run(shape, parametrization, density=density), tmp_path / "run")
    made = export(tmp_path / "run", tmp_path / "out")
    logits = own_logits(trained_model(tmp_path / "run"))
    stock = loaded(tmp_path / "out")
    assert type(stock).__name__ == made.architecture
    assert stock.config.tie_word_embeddings == (shape.is_tied and parametrization == "sp")
    assert difference(stock_logits(stock), logits) <= SAME
    assert logits.std() > 0.3  # they say something
    assert made.density == pytest.approx(density, abs=1e-3)
    # And back: by the folder's own shape, and in the run's parameterization.
    assert difference(own_logits(load_gpt(tmp_path / "out")), logits) <= SAME
    start, name = imported(str(tmp_path / "out"), None)
    assert (name, start.shape) == (parametrization, shape)
    again = small_run(shape, parametrization, density=1.0, init_from=InitFrom(folder=str(tmp_path / "out")))
    assert difference(own_logits(make_executor(again).model), logits) <= SAME


def test_parameters_come_back_but_for_a_rounding(tmp_path: Path) -> None:
    config = small_run(GPT2, "completep", density=0.25)
    train(config, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    checkpoint, _ = load_latest(tmp_path / "run")
    assert checkpoint is not None
    multipliers = forward_multipliers(config.parameters_transfer_by, GPT2)
    weights = HuggingFaceWeights(tmp_path / "out", GPT2, multipliers)
    assert set(weights) == set(checkpoint.parameters)
    for name in weights:
        torch.testing.assert_close(weights[name], checkpoint.dense("model", name), rtol=2**-22, atol=0.0)


def test_a_run_of_the_streaming_executor_is_exported_alike(tmp_path: Path) -> None:
    train(small_run(density=0.25, execution=STREAMING), tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    assert difference(stock_logits(loaded(tmp_path / "out")), own_logits(trained_model(tmp_path / "run"))) <= SAME


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse run in μP with checkpoints of steps 2 and 3."""
    run_dir = tmp_path_factory.mktemp("run") / "sparse"
    train(small_run(density=0.25, checkpoint_interval=2, eval_interval=3), run_dir)
    return run_dir


def test_a_checkpoint_is_chosen_by_its_step(run: Path, tmp_path: Path) -> None:
    last, second = export(run, tmp_path / "last"), export(run, tmp_path / "second", step=2)
    assert (last.step, second.step) == (3, 2)
    assert last.val_loss is not None
    assert second.val_loss is None
    assert last.sha256 != second.sha256
    with pytest.raises(SpecError, match="no checkpoint of step 7; there are those of steps 2, 3"):
        export(run, tmp_path / "seventh", step=7)


def test_large_models_are_cut_into_files_with_their_index(run: Path, tmp_path: Path) -> None:
    whole, cut = export(run, tmp_path / "whole"), export(run, tmp_path / "cut", shard_bytes=20_000)
    index = json.loads((tmp_path / "cut" / "model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "cut").glob("model-*.safetensors"))
    assert [file.name for file in files] == sorted(set(index["weight_map"].values()))
    assert len(files) > 2
    assert cut.n_bytes == sum(file.stat().st_size for file in files)
    assert torch.equal(stock_logits(loaded(tmp_path / "cut")), stock_logits(loaded(tmp_path / "whole")))
    assert {*read_tensors(tmp_path / "cut")} == {*read_tensors(tmp_path / "whole")}
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in read_tensors(tmp_path / "whole").values())
    assert whole.run == cut.run == "sparse"


@pytest.mark.parametrize(("dtype", "as_torch"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_numbers_of_16_bits_are_those_of_32_rounded(run: Path, tmp_path: Path, dtype: Any, as_torch: Any) -> None:
    export(run, tmp_path / "fp32")
    export(run, tmp_path / dtype, dtype=dtype)
    assert loaded(tmp_path / dtype).dtype == as_torch
    short, long = read_tensors(tmp_path / dtype), read_tensors(tmp_path / "fp32")
    assert all(torch.equal(short[name], long[name].to(as_torch)) for name in long)
    start = InitFrom(folder=str(tmp_path / dtype))
    make_executor(small_run(init_from=start))  # in its own parameterization, however coarse the numbers are


def test_a_sparse_export_holds_live_weights_and_a_bit_for_each(run: Path, tmp_path: Path) -> None:
    dense, sparse = export(run, tmp_path / "dense"), export(run, tmp_path / "sparse", is_sparse=True)
    path = tmp_path / "sparse" / "model.sparse.safetensors"
    stored = safetensors.torch.load_file(path)
    hidden = [name.removesuffix(MASK_SUFFIX) for name in stored if name.endswith(MASK_SUFFIX)]
    n_weights = sum(read_tensors(tmp_path / "dense")[name].numel() for name in hidden)
    n_bytes = sum(stored[name].nbytes + stored[name + MASK_SUFFIX].nbytes for name in hidden)
    assert n_bytes == n_weights * (4 * 0.25 + 1 / 8)
    assert dense.n_bytes - sparse.n_bytes > n_weights * (4 - 1 - 1 / 8) - 2000  # its table is longer
    whole, live = read_tensors(tmp_path / "dense"), read_tensors(tmp_path / "sparse")
    assert {*whole} == {*live}
    assert all(torch.equal(whole[name], live[name]) for name in whole)
    again = export(tmp_path / "sparse", tmp_path / "again")
    assert again.sha256 == dense.sha256
    assert stock_logits(loaded(tmp_path / "again")).equal(stock_logits(loaded(tmp_path / "dense")))
    start = small_run(init_from=InitFrom(folder=str(tmp_path / "sparse")))
    assert own_logits(make_executor(start).model).equal(
        own_logits(make_executor(small_run(init_from=InitFrom(folder=str(tmp_path / "dense")))).model)
    )


def test_masks_whose_last_byte_is_not_full_come_back(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(GPT2, d_model=6, d_ff=7)  # 42 weights in a matrix: five bytes and two bits
    train(small_run(odd, density=0.5), tmp_path / "run")
    dense = export(tmp_path / "run", tmp_path / "dense")
    export(tmp_path / "run", tmp_path / "sparse", is_sparse=True)
    assert export(tmp_path / "sparse", tmp_path / "again").sha256 == dense.sha256


def test_a_sparse_file_that_is_not_whole_is_named(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out", is_sparse=True)
    path = tmp_path / "out" / "model.sparse.safetensors"
    stored = safetensors.torch.load_file(path)
    name = next(name for name in stored if name.endswith(MASK_SUFFIX))
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    for change, shapes, message in (
        ({}, {}, "metadata do not say the shape of"),
        ({name: stored[name][:-1].clone()}, metadata, "the mask of .* is not of"),
        ({name: torch.zeros_like(stored[name])}, metadata, r"has \d+ numbers, and its mask 0"),
    ):
        safetensors.torch.save_file(stored | change, path, metadata=shapes)
        with pytest.raises(SpecError, match=message):
            list(read_tensors(tmp_path / "out").values())


def test_the_stock_model_generates_and_its_tokens_are_bytes(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out")
    stock, tokenizer = loaded(tmp_path / "out"), transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "def f(x):\n\treturn  'ß€𝄞' \x00\x7f"
    assert tokenizer(text[:9]).input_ids == list(text[:9].encode())
    assert tokenizer.backend_tokenizer.encode(text).ids == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    made = stock.generate(TOKENS_BT[:1, :4], attention_mask=torch.ones(1, 4), max_new_tokens=5, do_sample=False)
    step_by_step = TOKENS_BT[:1, :4]
    model = trained_model(run)
    for _ in range(5):
        with torch.no_grad():
            step_by_step = torch.cat((step_by_step, model(step_by_step)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(made, step_by_step)


def test_a_tensor_without_a_live_weight_is_kept_too(tmp_path: Path) -> None:
    """Of queries, keys and values, which are one matrix of ours, two weights live."""
    train(small_run(LLAMA, "sp", density=1 / 1024), tmp_path / "run")
    export(tmp_path / "run", tmp_path / "sparse", is_sparse=True)
    sparse = read_tensors(tmp_path / "sparse")
    assert any(not sparse.mask(name).any() for name in sparse.masked)
    export(tmp_path / "sparse", tmp_path / "again")
    export(tmp_path / "run", tmp_path / "dense")
    again, dense = (read_tensors(tmp_path / name) for name in ("again", "dense"))
    assert set(again) == set(dense)
    assert all(torch.equal(again[name], dense[name]) for name in dense)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Lines of JSON, and the documents in them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    documents = [f"# {n} ß€ " + " ".join(random.choice(["def", "return", "x,", "y"], 20)) for n in range(300)]
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), encoding="utf-8")
    return path, documents


@pytest.mark.parametrize(("shape", "is_prepared"), [(GPT2, False), (LLAMA, True)])
def test_the_runs_tokenizer_goes_with_it(
    shape: ModelShape, is_prepared: bool, texts: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, documents = texts
    corpus = load_corpus(str(path), tokenizer="bpe:300")
    assert corpus.tokenizer_file is not None
    data = {"data": str(corpus.tokenizer_file.parent)} if is_prepared else {"data": str(path), "tokenizer": "bpe:300"}
    config = small_run(msgspec.structs.replace(shape, vocab_size=300), density=0.25, **data)
    trainer.train(config, tmp_path / "run")
    sparse = export(tmp_path / "run", tmp_path / "sparse", is_sparse=True)
    dense = export(tmp_path / "sparse", tmp_path / "dense")
    assert dense.tokenizer_sha256 == sparse.tokenizer_sha256 == sha256(corpus.tokenizer_file.read_bytes()).hexdigest()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "dense")
    rows = [part.tokens(0, part.n_tokens).tolist() for part in (corpus.train, corpus.val)]  # type: ignore[attr-defined]
    read = [text for row in rows for text in tokenizer.decode(row).split("<|endoftext|>")[:-1]]
    assert sorted(read) == sorted(documents)
    ids = [[*tokenizer(text).input_ids, tokenizer.eos_token_id] for text in read]
    assert [*chain(*ids)] == [*chain(*rows)]
    assert tokenizer.model_max_length == 16
    card = (tmp_path / "dense" / "README.md").read_text(encoding="utf-8")
    assert f"`{dense.tokenizer}`" in card
    assert "AutoTokenizer" in card
    assert dense.tokenizer == f"bpe:300 ({sparse.tokenizer_sha256[:12]})"
    assert loaded(tmp_path / "dense").config.eos_token_id == tokenizer.eos_token_id == rows[0][-1]


def tokenizer_of(kind: str, folder: Path) -> Path:
    """One whose token that ends a document is in its vocabulary alone: GPT-2's two files, or one with scores."""
    if kind == "gpt2":
        vocabulary = byte_tokenizer()["model"]["vocab"] | {"<|endoftext|>": 299}
        (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        (folder / "merges.txt").write_text("")
        return folder
    scored = [("<unk>", 0.0), ("a", -1.0), ("</s>", -2.0)]
    tokenizers.Tokenizer(tokenizers.models.Unigram(scored, unk_id=0)).save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize(
    ("kind", "end_id"), [("bytes", 0), ("bpe:300", 0), ("gpt2", 299), ("scored", 2), ("ids", None), ("markov", None)]
)
def test_generating_stops_where_a_document_ends(
    kind: str, end_id: int | None, texts: tuple[Path, list[str]], tmp_path: Path
) -> None:
    words = {"bytes": "bytes", "bpe:300": "bpe:300"}.get(kind)
    if kind in ("gpt2", "scored"):
        words = str(tokenizer_of(kind, tmp_path))
    (np.arange(4000) % 256).astype(np.uint16).tofile(tmp_path / "my.bin")
    data = str(tmp_path / "my.bin") if kind == "ids" else "markov" if words is None else str(texts[0])
    shape = msgspec.structs.replace(GPT2, vocab_size=300)
    trainer.train(small_run(shape, data=data, tokenizer=words or "bytes"), tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    stock = loaded(tmp_path / "out")
    assert stock.config.eos_token_id == stock.generation_config.eos_token_id == end_id
    with torch.no_grad():  # now it says one token, whatever comes before
        stock.transformer.ln_f.weight.zero_()
        stock.transformer.ln_f.bias.fill_(1.0)
        stock.lm_head.weight.zero_()[end_id or 0].fill_(1.0)
    prompt = torch.tensor([[65, 66]])
    made = stock.generate(prompt, attention_mask=torch.ones(1, 2), max_new_tokens=5, do_sample=False)
    assert made[0, 2:].tolist() == [end_id or 0] * (5 if end_id is None else 1)


def test_a_run_that_goes_on_says_where_its_ids_are_others(texts: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, out = str(texts[0]), tmp_path / "out"
    wide = msgspec.structs.replace(GPT2, vocab_size=300)
    trainer.train(small_run(wide, data=path, tokenizer="bpe:300"), tmp_path / "run")
    name = export(tmp_path / "run", out).tokenizer
    prepared = load_corpus(path, tokenizer="bpe:300").tokenizer_file
    assert prepared is not None
    mine, _ = imported(str(out), None)
    for word in (str(out), str(out / "tokenizer.json")):
        assert other_tokens(mine, reading_of(path, tokenizer=word)) == ()
    assert other_tokens(mine, reading_of(str(prepared.parent))) == ()
    (sentence,) = other_tokens(mine, reading_of(path))
    assert sentence.startswith(f"tokens: ids here are bytes; those of the weights are of the tokenizer {name}; --token")
    (out / "wse-sim.json").unlink()
    theirs, _ = imported(str(out), None)
    assert other_tokens(theirs, reading_of(path, tokenizer=str(out))) == ()
    (sentence,) = other_tokens(theirs, reading_of(path))
    assert "weights that were trained elsewhere are their own tokenizer's; --tokenizer" in sentence


def test_where_nobody_knows_the_tokenizer_there_is_none_and_the_card_says_so(
    texts: tuple[Path, list[str]], tmp_path: Path
) -> None:
    (np.arange(4000) % 256).astype(np.uint16).tofile(tmp_path / "my.bin")
    trainer.train(small_run(data=str(tmp_path / "my.bin")), tmp_path / "unknown")
    wide = msgspec.structs.replace(GPT2, vocab_size=300)
    trainer.train(small_run(wide, data=str(texts[0]), tokenizer="bpe:300"), tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text("{}", encoding="utf-8")  # not the one that made the tokens
    for name, words in (("unknown", "What the ids mean is not known"), ("other", "the tokenizer `bpe:300 (")):
        made = export(tmp_path / name, tmp_path / "out" / name)
        assert made.tokenizer_sha256 is None
        assert not list((tmp_path / "out" / name).glob("tokenizer*"))
        card = (tmp_path / "out" / name / "README.md").read_text(encoding="utf-8")
        assert words in card
        assert "AutoTokenizer" not in card
        start, _ = imported(str(tmp_path / "out" / name), None)
        assert (start.tokenizer, start.tokenizer_sha256) == (made.tokenizer, None)
    start, _ = imported(str(tmp_path / "out" / "unknown"), None)
    nobody = "of a tokenizer that nobody named"
    assert other_tokens(start, reading_of(str(tmp_path / "my.bin"))) == (
        f"tokens: ids here are {nobody}; those of the weights are {nobody}",
    )


def test_what_cannot_be_exported_leaves_nothing(run: Path, tmp_path: Path) -> None:
    alibi = msgspec.structs.replace(GPT2, positions="alibi", feed_forward="swiglu")
    train(small_run(alibi), tmp_path / "alibi")
    train(small_run(), tmp_path / "dense")
    train(small_run(base=msgspec.structs.replace(BASE, embedding_multiplier=1e6)), tmp_path / "huge")
    for source, how, message in (
        (tmp_path / "alibi", {}, "has positions alibi, norm layernorm, feed_forward swiglu"),
        (tmp_path / "dense", {"is_sparse": True}, "the run is dense: leave --sparse out"),
        (tmp_path / "nothing", {}, "nothing: there is no such folder"),
        (run.parent, {}, "there is no checkpoint in .*checkpoints: name the folder of a training run"),
        (tmp_path / "huge", {"dtype": "fp16"}, "a weight is not finite as float16: dtype bf16 or fp32 would be right"),
        (run, {"step": 1}, "no checkpoint of step 1"),
    ):
        before = set(tmp_path.iterdir())
        with pytest.raises(SpecError, match=message):
            export(source, tmp_path / "new" / "out", **how)
        assert set(tmp_path.iterdir()) == before
    export(run, tmp_path / "out", is_sparse=True)
    with pytest.raises(SpecError, match="is there already"):
        export(run, tmp_path / "out")
    with pytest.raises(SpecError, match="is a sparse export"):
        export(tmp_path / "out", tmp_path / "other", step=3)
