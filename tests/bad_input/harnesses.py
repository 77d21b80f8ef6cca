"""Every reader of what users write, as a function of bytes: it returns, or raises SpecError, and nothing else.

`fuzz.py` gives them bytes that a coverage-guided fuzzer makes, `test_corpus.py` those that were kept.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bad_input import seeds
from wse_sim.errors import SpecError

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Harness:
    """A reader.

    Parameters
    ----------
    read :
        Takes the bytes.
    seeds :
        Makes what fuzzing begins with.
    n_runs :
        Of a campaign.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    n_runs: int = 20_000

    def __call__(self, content: bytes) -> None:
        with suppress(SpecError):
            self.read(content)


def _file(name: str, content: bytes) -> Path:
    path = seeds.scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _model(content: bytes) -> None:
    from wse_sim.runs import resolve_run
    from wse_sim.spec.load import load_model

    resolve_run(load_model(str(_file("m.toml", content))), batch_size=8)


def _system(content: bytes) -> None:
    from wse_sim.spec.cluster import load_cluster

    load_cluster(str(_file("s.toml", content)), 1)


def _gpu(content: bytes) -> None:
    from wse_sim.gpu.spec import load_gpu

    load_gpu(str(_file("g.toml", content)))


def _operations(content: bytes) -> None:
    from wse_sim.spec.economics import load_economics
    from wse_sim.spec.operations import load_operations, read_operations

    path = str(_file("o.toml", content))
    with suppress(SpecError):
        read_operations(path, load_operations())
    load_economics(path)


def _configuration(content: bytes) -> None:
    from wse_sim.runs import run_from_configuration
    from wse_sim.spec.read_configuration import read_configuration

    run_from_configuration(read_configuration([str(_file("c.toml", content))]).configuration)


def _model_zoo(content: bytes) -> None:
    from wse_sim.runs import run_from_configuration
    from wse_sim.spec.read_configuration import read_configuration

    run_from_configuration(read_configuration([str(_file("p.yaml", content))]).configuration)


def _config_json(content: bytes) -> None:
    from wse_sim.spec.load import load_model

    load_model(str(_file("config.json", content)))


def _points(content: bytes) -> None:
    from wse_sim.sweeps.keys import simulated_vocabulary
    from wse_sim.sweeps.points import read_points

    kind = ".csv" if content[:1] < b"[" else ".toml"
    read_points(_file(f"p{kind}", content), simulated_vocabulary())


def _measurements(content: bytes) -> None:
    from wse_sim.calibration import own_runs, read_measurements

    own_runs(read_measurements(str(_file("r.csv", content))))


def _written(content: bytes) -> None:
    from wse_sim.spec import written

    text = content.decode("utf-8", "replace")
    for parse in (
        lambda: written.parse_count(text, "x"),
        lambda: written.parse_seconds(text, "x"),
        lambda: written.parse_amount(text, "x", {"kW": 1e3, "MW": 1e6}),
        lambda: written.parse_numbers(text, "x"),
        lambda: written.parse_densities(text, None),
        lambda: written.parse_densities(None, text),
        lambda: written.parse_whole_numbers(text, "x"),
        lambda: written.parse_clip(text),
        lambda: written.split_at_commas(text, "x"),
    ):
        with suppress(SpecError):
            parse()


def _sparsity(content: bytes) -> None:
    from wse_sim.spec.reading import read_json
    from wse_sim.spec.sparsity import configure

    configure(read_json(str(_file("s.json", content))).get("sparsity"), "sparsity")


def _schedule(content: bytes) -> None:
    from training.schedules import split_schedules
    from training.schedules.factor import lr_factor
    from training.schedules.text import canonical, parse_schedule

    for text in split_schedules(content.decode("utf-8", "replace")):
        schedule = parse_schedule(text)
        assert parse_schedule(canonical(text)) == schedule
        lr_factor(text, 7, 100, 10)


def _safetensors(content: bytes) -> None:
    from models.hugging_face.tensors import read_tensors

    tensors = read_tensors(_file("hf/model.safetensors", content).parent)
    for name in tensors:
        assert tensors[name].shape == tensors.shape(name)


def _masks(content: bytes) -> None:
    from wse_sim.wafer.masks import read_run_masks

    _file("masks/checkpoints/step-00000002.json", b"{}")
    read_run_masks(_file("masks/checkpoints/step-00000002.safetensors", content).parents[1])


def _checkpoint(content: bytes) -> None:
    from tests.bad_input.a_run import META, TENSORS, finished
    from training.checkpoint import load_latest

    if not (seeds.scratch() / "run" / TENSORS).is_file():
        _file(f"run/{TENSORS}", (finished("dense") / TENSORS).read_bytes())
    _file(f"run/{META}", content)
    load_latest(seeds.scratch() / "run")


def _rows(content: bytes) -> None:
    from wse_sim.report.run_files import read_rows

    read_rows(_file("rows/run.jsonl", content).parent)


def _summary(content: bytes) -> None:
    from wse_sim.report.html import write_report

    write_report(_file("summary/summary.json", content).parent)


def _tokens(content: bytes) -> None:
    """A zero byte stands between a file of tokens and what is beside it."""
    tokens, _, beside = content.rpartition(b"\0{")
    _file("tokens/t.json", b"{" + beside)
    _read_corpus(_file("tokens/t.bin", tokens))


def _bare_tokens(content: bytes) -> None:
    _read_corpus(_file("bare/t.bin", content))


def _npy(content: bytes) -> None:
    _read_corpus(_file("npy/t.npy", content))


def _megatron(content: bytes) -> None:
    _file("megatron/t.bin", bytes(2000))
    _read_corpus(_file("megatron/t.idx", content))


def _hdf5(content: bytes) -> None:
    _read_corpus(_file("hdf5/t.h5", content))


def _read_corpus(path: Path) -> None:
    import numpy as np

    from training.data import load_corpus

    corpus = load_corpus(str(path))
    for part in (corpus.train, corpus.val):
        if part.n_sequences(8):
            part.read(np.array([0, part.n_sequences(8) - 1]), 8)


def _json_lines(content: bytes) -> None:
    from training.data.jsonl import json_documents

    list(json_documents(_file("t.jsonl", content), "text", lambda n: None))


def _zstd_lines(content: bytes) -> None:
    from training.data.jsonl import json_documents

    list(json_documents(_file("t.jsonl.zst", content), "text", lambda n: None))


def _arrow(content: bytes) -> None:
    _table(_file("t.arrow", content))


def _parquet(content: bytes) -> None:
    _table(_file("t.parquet", content))


def _table(path: Path) -> None:
    from training.data.arrow import column_documents, column_of, largest_id

    column = column_of(path, "text")
    if column.is_ids:
        largest_id(path, column)
    list(column_documents(path, column))


def _tokenizer(content: bytes) -> None:
    from training.data.tokenizer import read_tokenizer

    read_tokenizer(str(_file("k.json", content))).encode([b"Once upon a time", b""])


_BPE = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}'
_CONFIG = (
    b'{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}'
)
_SIDE_CAR = b'{"dtype": "uint16", "vocab_size": 300, "n_tokens": 100, "n_bytes": 400}'
_SOURCED = b'[%s]\nvalue = 1.5\nlow = 1.0\nkind = "assumed"\nsource = "x"\n'
_SLOW = 4_000

HARNESSES: dict[str, Harness] = {
    "toml_model": Harness(_model, seeds.tiny_model()),
    "toml_system": Harness(_system, seeds.of_the_data("hardware/cs3.toml")),
    "toml_gpu": Harness(_gpu, seeds.of_the_data("gpus/h100.toml")),
    "toml_operations": Harness(_operations, seeds.written(_SOURCED % b"pue", _SOURCED % b"compile_s"), _SLOW),
    "toml_configuration": Harness(_configuration, seeds.tiny_model("[run]\nseq_len=64\nbatch_size=4\nn_steps=9\n")),
    "model_zoo_yaml": Harness(_model_zoo, seeds.yamls, _SLOW),
    "config_json": Harness(_config_json, seeds.written(_CONFIG, b'{"model_type": "gpt2"}')),
    "sweep_points": Harness(
        _points, seeds.written(b"model,seed\n111m,1\n", b'[grid]\nmodel = "111m"\ndensity = [1, 0.5]\n')
    ),
    "calibrate_csv": Harness(
        _measurements, seeds.written(b"model,system,num_csx,batch_size,tokens_per_s\n111m,cs2,1,120,1e6\n")
    ),
    "written_values": Harness(_written, seeds.written(b"26.3B", b"1.2 MW", b"3m", b"0.5,0.25", b"none")),
    "sparsity": Harness(
        _sparsity, seeds.written(b'{"sparsity": {"algorithm": "rigl", "sparsity": 0.9}}', b'{"sparsity": [0.5]}')
    ),
    "schedules": Harness(
        _schedule,
        seeds.written(
            b"wsd(cooldown=0.1,shape=1-sqrt)",
            b"step(at=[0.5,0.8],by=0.3),linear",
            b"sequential(pieces=[linear,cosine],until=[0.5,1])",
        ),
    ),
    "safetensors": Harness(_safetensors, seeds.safetensors_file),
    "run_masks": Harness(_masks, seeds.masks_file),
    "checkpoint_json": Harness(_checkpoint, seeds.of_a_run("checkpoints/step-00000002.json"), _SLOW),
    "run_rows": Harness(_rows, seeds.of_a_run("run.jsonl")),
    "summary_json": Harness(_summary, seeds.of_a_run("summary.json"), 2_000),
    "tokens_side_car": Harness(_tokens, seeds.written(bytes(200) + b"\0" + _SIDE_CAR)),
    "tokens": Harness(
        _bare_tokens, seeds.written(bytes(200), struct.pack("<iii", 20240520, 1, 100) + bytes(1012 + 200))
    ),
    "npy": Harness(_npy, seeds.npy_files),
    "megatron_index": Harness(_megatron, seeds.indexes),
    "hdf5": Harness(_hdf5, seeds.hdf5_files, _SLOW),
    "json_lines": Harness(_json_lines, seeds.written(b'{"text": "a"}\n\n{"text": "b", "n": [1, null]}\n')),
    "zstd_lines": Harness(_zstd_lines, seeds.zstd_files),
    "arrow": Harness(_arrow, seeds.tables("arrow")),
    "parquet": Harness(_parquet, seeds.tables("parquet"), _SLOW),
    "tokenizer_json": Harness(_tokenizer, seeds.written(_BPE)),
}
"""By name."""
