"""Every reader of what users write, as a function of bytes: it returns, or raises SpecError, and nothing else.

`fuzz.py` gives them bytes that a coverage-guided fuzzer makes, `test_corpus.py` those that were kept.
"""

import json
import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wse_sim.errors import SpecError

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    n_runs: int

    def __call__(self, content: bytes) -> None:
        with suppress(SpecError):
            self.read(content)


@cache
def _folder() -> Path:
    """For files of this process; in memory where the system has such a place, for there will be many."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of its own is made there
    return Path(tempfile.mkdtemp(prefix="wse-sim-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
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

    if not (_folder() / "run" / TENSORS).is_file():
        _file(f"run/{TENSORS}", (finished("dense") / TENSORS).read_bytes())
    _file(f"run/{META}", content)
    load_latest(_folder() / "run")


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


def _text(*names: str) -> Callable[[], list[bytes]]:
    """The data's own files as seeds."""

    def make() -> list[bytes]:
        from importlib.resources import files

        return [files("wse_sim").joinpath("data", *name.split("/")).read_bytes() for name in names]

    return make


def _tiny(more: str = "") -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.conftest import TINY

        return [(TINY + more).encode()]

    return make


def _yaml() -> list[bytes]:
    files = _TESTS / "spec" / "model_zoo" / "files"
    return [(files / name).read_bytes() for name in ("111m.yaml", "tiny_rigl.yaml", "gpt2_small_legacy.yaml")]


def _safe() -> list[bytes]:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": {"a": "2x2"}})
    return [struct.pack("<Q", len(header)) + header.encode() + bytes(16)]


def _of_run(name: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.bad_input.a_run import finished

        return [(finished("dense") / name).read_bytes()]

    return make


def _index_seeds() -> list[bytes]:
    from tests.bad_input.of_tokens import index

    return [index()]


def _hdf5_seeds() -> list[bytes]:
    import numpy as np

    from tests.bad_input.of_tokens import hdf5

    path = _folder() / "seed.h5"
    made = []
    for shape, more in (((4, 3, 16), {}), ((200,), {"chunks": (50,), "compression": "gzip"})):
        hdf5(lambda file, shape=shape, more=more: file.create_dataset("data", data=np.ones(shape, "i4"), **more))(path)  # type: ignore[misc]
        made.append(path.read_bytes())
    return made


def _table_seeds(kind: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.bad_input import of_documents

        maker = of_documents._arrow if kind == "arrow" else of_documents._parquet
        path, made = _folder() / "seed", []
        for columns in (
            lambda pa: pa.table({"text": ["a", None, "bc"]}),
            lambda pa: pa.table({"input_ids": [[1, 2], []]}),
        ):
            maker(columns)(path)
            made.append(path.read_bytes())
        return made

    return make


def _zstd_seeds() -> list[bytes]:
    import zstandard

    return [zstandard.compress(b'{"text": "a"}\n' * 20)]


def _npy_seeds() -> list[bytes]:
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, np.ones(200, "<u2"))
    return [file.getvalue()]


def _bytes(*seeds: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(seeds)


_BPE = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}'
_CONFIG = (
    b'{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}'
)
_SIDE_CAR = b'{"dtype": "uint16", "vocab_size": 300, "n_tokens": 100, "n_bytes": 400}'
_FAST, _SLOW = 20_000, 4_000

HARNESSES: dict[str, Harness] = {
    "toml_model": Harness(read=_model, seeds=_tiny(), n_runs=_FAST),
    "toml_system": Harness(read=_system, seeds=_text("hardware/cs3.toml"), n_runs=_FAST),
    "toml_gpu": Harness(read=_gpu, seeds=_text("gpus/h100.toml"), n_runs=_FAST),
    "toml_operations": Harness(read=_operations, seeds=_text("operations.toml", "economics.toml"), n_runs=_FAST),
    "toml_configuration": Harness(
        read=_configuration, seeds=_tiny("[run]\nseq_len=64\nbatch_size=4\nn_steps=9\n"), n_runs=_FAST
    ),
    "model_zoo_yaml": Harness(read=_model_zoo, seeds=_yaml, n_runs=_FAST),
    "config_json": Harness(read=_config_json, seeds=_bytes(_CONFIG, b'{"model_type": "gpt2"}'), n_runs=_FAST),
    "sweep_points": Harness(
        read=_points,
        seeds=_bytes(b"model,seed\n111m,1\n", b'[grid]\nmodel = "111m"\ndensity = [1, 0.5]\n'),
        n_runs=_FAST,
    ),
    "calibrate_csv": Harness(
        read=_measurements,
        seeds=_bytes(b"model,system,num_csx,batch_size,tokens_per_s\n111m,cs2,1,120,1e6\n"),
        n_runs=_FAST,
    ),
    "written_values": Harness(
        read=_written, seeds=_bytes(b"26.3B", b"1.2 MW", b"3m", b"0.5,0.25", b"none"), n_runs=_FAST
    ),
    "sparsity": Harness(
        read=_sparsity,
        seeds=_bytes(b'{"sparsity": {"algorithm": "rigl", "sparsity": 0.9}}', b'{"sparsity": [0.5]}'),
        n_runs=_FAST,
    ),
    "schedules": Harness(
        read=_schedule,
        seeds=_bytes(
            b"wsd(cooldown=0.1,shape=1-sqrt)",
            b"step(at=[0.5,0.8],by=0.3),linear",
            b"sequential(pieces=[linear,cosine],until=[0.5,1])",
        ),
        n_runs=_FAST,
    ),
    "safetensors": Harness(read=_safetensors, seeds=_safe, n_runs=_FAST),
    "run_masks": Harness(read=_masks, seeds=_of_run("checkpoints/step-00000002.safetensors"), n_runs=_SLOW),
    "checkpoint_json": Harness(read=_checkpoint, seeds=_of_run("checkpoints/step-00000002.json"), n_runs=_SLOW),
    "run_rows": Harness(read=_rows, seeds=_of_run("run.jsonl"), n_runs=_FAST),
    "summary_json": Harness(read=_summary, seeds=_of_run("summary.json"), n_runs=2_000),
    "tokens_side_car": Harness(read=_tokens, seeds=_bytes(bytes(200) + b"\0" + _SIDE_CAR), n_runs=_FAST),
    "tokens": Harness(
        read=_bare_tokens,
        seeds=_bytes(bytes(200), struct.pack("<iii", 20240520, 1, 100) + bytes(1012 + 200)),
        n_runs=_FAST,
    ),
    "npy": Harness(read=_npy, seeds=_npy_seeds, n_runs=_FAST),
    "megatron_index": Harness(read=_megatron, seeds=_index_seeds, n_runs=_FAST),
    "hdf5": Harness(read=_hdf5, seeds=_hdf5_seeds, n_runs=_SLOW),
    "json_lines": Harness(
        read=_json_lines, seeds=_bytes(b'{"text": "a"}\n\n{"text": "b", "n": [1, null]}\n'), n_runs=_FAST
    ),
    "zstd_lines": Harness(read=_zstd_lines, seeds=_zstd_seeds, n_runs=_FAST),
    "arrow": Harness(read=_arrow, seeds=_table_seeds("arrow"), n_runs=_FAST),
    "parquet": Harness(read=_parquet, seeds=_table_seeds("parquet"), n_runs=_SLOW),
    "tokenizer_json": Harness(read=_tokenizer, seeds=_bytes(_BPE), n_runs=_FAST),
}
"""By name."""
