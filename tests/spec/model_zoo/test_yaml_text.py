"""YAML is read as plain values: nothing runs, nothing explodes, nothing is said twice, and numbers are numbers."""

from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.model_zoo.yaml_text import dotted, read_yaml


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(str(path)).content


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("6e-4", 6e-4), ("6.0e-05", 6e-5), ("6e-05", 6e-5), ("1E5", 1e5), ("+2e3", 2e3), ("1_000", 1000),
        ("1_000.5", 1000.5), ("1.5", 1.5), ("12", 12), ("true", True), ("~", None), ("word", "word"),
        ("'6e-4'", "6e-4"), ("2024-01-01", "2024-01-01"), ("1e", "1e"), ("e5", "e5"), ("./a/b", "./a/b"),
    ],
)  # fmt: skip
def test_scalars_are_what_authors_mean(tmp_path: Path, written: str, value: object) -> None:
    found = read(tmp_path, f"a: {written}\n")["a"]
    assert (found, type(found)) == (value, type(value))


def test_merges_and_aliases_are_followed_and_own_keys_win(tmp_path: Path) -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nown: {<<: [*b, *m], x: 9}\nagain: *b\n"
    content = read(tmp_path, text)
    assert content["own"] == {"x": 9, "y": 2, "z": 4}
    assert content["again"] == {"x": 1, "y": 2}


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("trainer:\n  init:\n  - a: 1\n    b:\n      c: 2\n", encoding="utf-8")
    document = read_yaml(str(path))
    assert document.lines["trainer", "init", 0, "b", "c"] == 5
    assert document.place(("trainer", "init", 0, "b", "c")) == f"{path}, line 5: trainer.init[0].b.c"
    assert document.place(("trainer", "missing")) == f"{path}, line 2: trainer.missing"
    assert dotted(("a", 0, "b", 1)) == "a[0].b[1]"


def billion_laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "line 5: key 'c' is said twice"),
        (billion_laughs(), "more than 20,000 values"),
        ("a: &a [*a]\n", "nests more than 64 deep"),
        ("a: &a {<<: *a}\n", "params.yaml: "),
        ("a: " + "[" * 3000 + "]" * 3000, "nests more than 64 deep"),
        ("a: " + "x" * (1 << 20), "has 1,048,579 bytes"),
        ("a: !!python/object/apply:os.system [echo]\n", "line 1: python/object/apply:os.system is no plain value"),
        ("a: !!python/name:os.system\n", "is no plain value"),
        ("a: !secret x\n", "line 1: !secret is no plain value"),
        ("? [a, b]\n: 1\n", "line 1: a key must be a word"),
        ("a: [1, 2\nb: 3\n", "line 2: is not YAML: "),
        ("a: 1\n---\nb: 2\n", "is not YAML: but found another document"),
        ("a: \x07\n", "is not YAML"),
        ("- 1\n", "holds a list, it must hold one mapping, `trainer:`"),
        ("", "holds nothing, it must hold one mapping"),
    ],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_yaml(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.yaml: is not UTF-8 text"):
        read_yaml(str(tmp_path / "binary.yaml"))
