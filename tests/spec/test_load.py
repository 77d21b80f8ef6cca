"""Reading what users say: right input by three ways, wrong input by one clear message."""

import json
from pathlib import Path
from typing import Any

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model, load_release, model_names, read_toml, release_names
from wse_sim.spec.model_zoo.yaml_text import read_yaml
from wse_sim.spec.reading import read_json, read_lines
from wse_sim.workload.transformer import n_parameters

SHAPE = """
[shape]
name = "mine"
n_layers = 2
d_model = 64
n_heads = 4
d_ff = 256
vocab_size = 100
seq_len = 32
"""
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
}
GPT2 = {"model_type": "gpt2", "n_layer": 10, "n_embd": 768, "n_head": 12, "n_inner": 3072, "vocab_size": 50257}
GPT2["n_positions"] = 2048
GPTJ = {"model_type": "gptj", "n_layer": 28, "n_embd": 4096, "n_head": 16, "vocab_size": 50400, "n_positions": 2048}


def write(path: Path, content: str | bytes | dict[str, Any]) -> str:
    data = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


@pytest.mark.parametrize("name", model_names())
def test_every_preset_loads_in_any_case(name: str) -> None:
    assert load_model(name).shape.name == name
    assert load_model(name.upper()) == load_model(name)


def test_a_users_shape_loads(tmp_path: Path) -> None:
    assert load_model(write(tmp_path / "mine.toml", SHAPE)).shape.d_ff == 256


def test_hugging_face_configs_give_the_presets_shapes(tmp_path: Path) -> None:
    for config, preset in ((GPT2, "111m"), (LLAMA, "llama-7b"), (GPTJ, "gpt-j-6b")):
        shape = load_model(write(tmp_path / "config.json", config)).shape
        assert n_parameters(shape) == n_parameters(load_model(preset).shape)
        assert load_model(str(tmp_path)).shape == shape


def test_grouped_keys_of_a_llama_config_are_kept(tmp_path: Path) -> None:
    shape = load_model(write(tmp_path / "config.json", {**LLAMA, "num_key_value_heads": 8})).shape
    assert (shape.kv_heads, shape.feed_forward, shape.positions, shape.has_biases) == (8, "swiglu", "rotary", False)
    assert shape.norm == "rmsnorm"


@pytest.mark.parametrize("model_type", ["bert", "gpt_neox"])
def test_the_other_families_load(tmp_path: Path, model_type: str) -> None:
    shape = load_model(write(tmp_path / "config.json", {**LLAMA, "model_type": model_type})).shape
    assert shape.is_tied == (model_type == "bert")
    assert (shape.logits_fraction < 1) == (model_type == "bert")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.toml", SHAPE.replace("n_layers", "n_layer"), r"a\.toml.*unknown key 'n_layer': did you mean 'n_layers'"),
        ("a.toml", SHAPE.replace("= 64", "= 'wide'"), r"a\.toml.*key 'd_model': Expected `int`, got `str`"),
        (
            "a.toml",
            SHAPE.replace("= 64", "= 64000000"),
            r"d_model is 64000000: it must be at least 1 and at most 1,000,000",
        ),
        ("a.toml", SHAPE.replace("= 64", "= 65"), r"a\.toml.*d_model 65 is not a multiple of n_heads 4"),
        ("a.toml", SHAPE.replace("d_ff = 256", ""), r"a\.toml.*missing required field `d_ff`"),
        ("a.toml", SHAPE.replace("[shape]", "[shap]"), r"unknown table in .*a\.toml 'shap': did you mean 'shape'"),
        ("a.toml", "", r"a\.toml: there is no table \[shape\]"),
        ("a.toml", "x = = 1", r"a\.toml: is not TOML"),
        ("a.toml", b"\xff\xfe", r"a\.toml: is not UTF-8"),
        ("a.toml", SHAPE + "\n[recipe]\nn_stepz = 1", r"\[recipe\]: unknown key 'n_stepz': did you mean 'n_steps'"),
        ("a.json", "{", r"a\.json: is not JSON"),
        ("a.json", "[]", r"a\.json: holds a list"),
        (
            "a.json",
            {},
            r"a\.json: there is no model_type; known are bert, gpt2, gpt_bigcode, .*llama, mistral, mpt",
        ),
        ("a.json", {"model_type": "mamba"}, r"unknown model_type in .*a\.json 'mamba'.*known are bert, gpt2"),
        ("a.json", {**GPT2, "n_layer": "ten"}, r"a\.json: key 'n_layer': Expected `int`"),
        ("a.json", {**GPT2, "n_head": 7}, r"a\.json: .*is not a multiple of n_heads 7"),
        ("a.json", {**LLAMA, "head_dim": 64}, r"a\.json: head_dim 64 x num_attention_heads 32 is not hidden_size"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, file: str, content: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_model(write(tmp_path / file, content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no\.toml: cannot be read: No such file"):
        read_toml(str(tmp_path / "no.toml"))
    with pytest.raises(SpecError, match="cannot be read: it is a folder"):
        read_toml(str(tmp_path))


def test_a_byte_order_mark_that_an_editor_puts_first_is_passed_over(tmp_path: Path) -> None:
    toml, json_file, yaml = (tmp_path / name for name in ("a.toml", "a.json", "a.yaml"))
    toml.write_text("steps = 3\n", encoding="utf-8-sig")
    json_file.write_text('{"steps": 3}', encoding="utf-8-sig")
    yaml.write_text("steps: 3\n", encoding="utf-8-sig")
    assert read_toml(str(toml)) == read_json(str(json_file)) == read_yaml(str(yaml)).content == {"steps": 3}


def test_an_unknown_model_names_the_nearest_preset() -> None:
    with pytest.raises(SpecError, match=r"unknown model '1\.3bb': did you mean '1\.3b'\? known are .*590m"):
        load_model("1.3bb")


def test_releases_are_factors_relative_to_release_2() -> None:
    assert set(release_names()) >= {"r1.7", "r2", "unstated"}
    assert load_release("R2").value == 1.0
    assert load_release("r1.7").value == pytest.approx(27.53 / 43.67, abs=5e-4)
    with pytest.raises(SpecError, match="software release"):
        load_release("r9")


def test_of_lines_of_json_a_last_one_that_was_cut_off_is_left_out_and_others_must_be_records(tmp_path: Path) -> None:
    path, line = tmp_path / "run.jsonl", b'{"step": 1}\n'
    for cut in range(len(line)):
        path.write_bytes(line * 2 + line[:cut])
        assert read_lines(path, dict[str, int]) == [{"step": 1}] * 2
    for wrong in (b"{", b"[1]", b'{"step": "one"}', b'{"\xff": 1}'):
        path.write_bytes(line + wrong + b"\n")
        with pytest.raises(SpecError, match=r"run\.jsonl: line 2 cannot be read: "):
            read_lines(path, dict[str, int])
