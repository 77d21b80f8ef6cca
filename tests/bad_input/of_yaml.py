"""Cerebras ModelZoo's YAML."""

from pathlib import Path

from tests.bad_input.case import Group, Made
from tests.bad_input.of_toml import in_place

_GOOD = (Path(__file__).parents[1] / "spec" / "model_zoo" / "files" / "111m.yaml").read_text(encoding="utf-8")


def cases() -> Group:
    group = Group("YAML", "simulate --config p.yaml")
    for name, (made, says) in (_LANGUAGE | _bombs()).items():
        group.case(name, {"p.yaml": made}, "p.yaml", says)
    for of, by, says in _VALUES:
        group.case(by.strip().replace("\n", " "), {"p.yaml": in_place(_GOOD, of, by)}, "p.yaml|model", says)
    for key in ("batch_size", "max_steps"):
        lines = [line for line in _GOOD.splitlines() if f" {key}:" not in line]
        group.case(f"without {key}", {"p.yaml": "\n".join(lines)}, "p.yaml", key)
    group.case(
        "the same file twice, one of them cut",
        {"p.yaml": _GOOD, "q.yaml": _GOOD[:300]},
        "q.yaml",
        more="--config q.yaml",
    )
    group.case(
        "as a model", {"p.yaml": "trainer: 1"}, "p.yaml", "trainer", command="simulate --model p.yaml --batch-size 8"
    )
    group.case("explained", {"p.yaml": "trainer: [1]"}, "p.yaml", "trainer", command="explain config p.yaml")
    return group


_LANGUAGE: dict[str, tuple[Made, str]] = {
    "empty": ("", "mapping"),
    "a comment alone": ("# nothing\n", "mapping"),
    "a list": ("- trainer\n", "mapping"),
    "a word": ("trainer", "mapping"),
    "two documents": ("trainer: {}\n---\ntrainer: {}\n", "YAML"),
    "a tab for spaces": ("trainer:\n\tinit: {}\n", "line 2"),
    "an open bracket": ("trainer: [1, 2", "YAML"),
    "not UTF-8": (b"trainer: \xff\n", "UTF-8"),
    "UTF-16 without a mark": (_GOOD.encode("utf-16-le"), "p.yaml"),
    "NUL": ("trainer: a\0b\n", "YAML"),
    "a Python object": ("trainer: !!python/object/apply:os.system ['touch here']\n", "line 1"),
    "a Python name": ("trainer: !!python/name:os.system\n", "line 1"),
    "a tag of one's own": ("trainer: !mine {}\n", "line 1"),
    "binary": ("trainer: !!binary aGVsbG8=\n", "line 1"),
    "a set": ("trainer: !!set {a, b}\n", "line 1"),
    "a key twice": ("trainer: {}\ntrainer: {}\n", "line 2"),
    "a list for a key": ("? [a, b]\n: 1\n", "line 1"),
    "an unknown alias": ("trainer: *nobody\n", "line 1"),
    "an alias of itself": ("trainer: &a [*a]\n", "deep"),
    "a merge of itself": ("trainer: &a {<<: *a, b: 1}\n", "values|deep"),
    "a merge of a word": ("trainer: {<<: word}\n", "<<"),
    "an undefined prefix": ("trainer: !q!x {}\n", "line 1"),
    "%YAML 9": ("%YAML 9.9\n---\ntrainer: {}\n", "line 1"),
    "trainer is nothing": ("trainer:\n", "trainer"),
    "trainer is a number": ("trainer: 5\n", "trainer"),
    "trainer is an empty list": ("trainer: []\n", "trainer"),
    "no init": ("trainer: {fit: {}}\n", "init"),
    "no trainer": ("model: {}\n", "trainer|p.yaml"),
    "a date for a mapping": ("trainer: 2024-01-01\n", "trainer"),
    "escape codes": ('trainer: "\\e[31mred\\a"\n', "trainer"),
    "not there": (lambda _: None, "No such file"),
}


def _bombs() -> dict[str, tuple[Made, str]]:
    """Small files that would become large things, or take long."""
    laughs = "a0: &a0 [" + ",".join(["x"] * 10) + "]\n"
    laughs += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
    )
    wide = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(15_000)) + "}\n"
    wide += "trainer: {<<: [" + ", ".join(["*a"] * 20_000) + "]}\n"
    return {
        "aliases of aliases": (laughs + "trainer: *a11\n", "values"),
        "merges of merges": (merges + "trainer: *a11\n", "values"),
        "20,000 merges of 15,000 keys": (wide, "values"),
        "lists in lists": ("trainer: " + "[" * 20_000, "deep|YAML"),
        "mappings in mappings": ("\n".join(" " * n + "a:" for n in range(600)), "deep|YAML"),
        "larger than any": ("# a comment\n" * 100_000, "bytes"),
        "100,000 values": ("trainer: [" + "1," * 100_000 + "]", "values|bytes"),
        "a number of 5,000 digits": (in_place(_GOOD, "hidden_size: 768", "hidden_size: " + "9" * 5000), "hidden_size"),
        "a number of 5,000 hexadecimal digits": (
            in_place(_GOOD, "hidden_size: 768", "hidden_size: 0x" + "f" * 5000),
            "line 10",
        ),
        "a sexagesimal number": (in_place(_GOOD, "hidden_size: 768", "hidden_size: 1" + ":59" * 2000), "line 10"),
        "a key of 100,000 letters": ("a" * 100_000 + ": 1\n", "YAML|trainer"),
    }


_VALUES = (
    ("hidden_size: 768", "hidden_size: .nan", "hidden_size"),
    ("hidden_size: 768", "hidden_size: .inf", "hidden_size"),
    ("hidden_size: 768", "hidden_size: -768", "hidden_size"),
    ("hidden_size: 768", "hidden_size: 0", "hidden_size"),
    ("hidden_size: 768", "hidden_size: 767", "d_model|hidden_size"),
    ("hidden_size: 768", "hidden_size: 7.68", "hidden_size"),
    ("hidden_size: 768", "hidden_size: 1e300", "d_model|hidden_size"),
    ("hidden_size: 768", "hidden_size: 2024-02-30", "hidden_size"),
    ("hidden_size: 768", "hidden_size: yes", "hidden_size"),
    ("hidden_size: 768", "hidden_size: [768]", "hidden_size"),
    ("num_hidden_layers: 10", "num_hidden_layers: 1.0e+18", "layers"),
    ("num_hidden_layers: 10", "num_hidden_layers: 012345670123456701234567", "line"),
    ("num_heads: 12", "num_heads: 0", "num_heads"),
    ("vocab_size: 50257", "vocab_size: -1", "vocab_size"),
    ("nonlinearity: gelu", "nonlinearity: magic", "nonlinearity"),
    ("nonlinearity: gelu", "nonlinearity: {}", "nonlinearity"),
    ("share_embedding_weights: true", "share_embedding_weights: 'maybe'", "share_embedding_weights"),
    ("position_embedding_type: learned", "position_embedding_type: felt", "position_embedding_type"),
    ("    model:\n", "    modell:\n", "model"),
    ("- 0.9\n", "- 1.9\n", "beta"),
    ("- 0.9\n", "- .nan\n", "beta"),
    ("- 0.9\n", "- x\n", "beta"),
    ("eps: 1.0e-08", "eps: -1", "eps"),
    ("eps: 1.0e-08", "eps: .inf", "eps"),
    ("weight_decay: 0.1", "weight_decay: -0.1", "weight_decay"),
    ("weight_decay: 0.1", "weight_decay: .nan", "weight_decay"),
    ("total_iters: 1525", "total_iters: -1", "total_iters"),
    ("total_iters: 1525", "total_iters: .nan", "total_iters"),
    ("end_learning_rate: 0.0006", "end_learning_rate: .inf", "end_learning_rate"),
    ("end_learning_rate: 6.0e-05", "end_learning_rate: -1", "end_learning_rate"),
    ("max_gradient_norm: 1.0", "max_gradient_norm: -1", "max_gradient_norm"),
    ("max_steps: 9037", "max_steps: 0", "max_steps"),
    ("max_steps: 9037", "max_steps: 9e99", "steps"),
    ("max_steps: 9037", "max_steps: all", "max_steps"),
    ("eval_frequency: 1000", "eval_frequency: -1", "eval_frequency"),
    ("log_steps: 1", "log_steps: 0", "log_steps"),
    ("batch_size: 120", "batch_size: 0", "batch_size"),
    ("batch_size: 120", "batch_size: {a: 1}", "batch_size"),
    ("    - SequentialLR:", "    - MagicLR:", "MagicLR"),
    ("    - LinearLR:\n", "    - 5\n", "YAML"),
)
