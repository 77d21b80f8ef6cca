"""What users write is read back as it was written, and a slip is named."""

from pathlib import Path

import msgspec
import pytest

from models.parametrization import BASES
from training.config import TrainConfig, read_config
from training.toml_text import toml_text
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=128, vocab_size=256, seq_len=32)
CONFIG = TrainConfig(shape=SHAPE, n_steps=24, batch_size=4, seq_len=32)


def test_config_comes_back_from_toml_as_it_went(tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        CONFIG, density=0.3, eps=1e-9, base=BASES["cerebras-gpt-mup"], betas=(0.8, 0.99), schedule="wsd", seed=2**60
    )
    path = tmp_path / "config.toml"
    path.write_text(toml_text(config), encoding="utf-8")
    assert read_config(path) == config


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("densty = 0.5", "density"), ("warmupp = 0.1", "warmup"), ("n_step = 3", "n_steps")],
)
def test_misspelt_key_names_file_key_and_the_right_one(tmp_path: Path, wrong: str, right: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(wrong + "\n" + toml_text(CONFIG), encoding="utf-8")
    with pytest.raises(SpecError) as error:
        read_config(path)
    for part in (str(path), wrong.split()[0], f"did you mean '{right}'"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("density", 0.0),
        ("density", 1.1),
        ("n_steps", 0),
        ("batch_size", -1),
        ("seq_len", 33),
        ("warmup", "100%"),
        ("warmup", "99%"),
        ("warmup", "24 steps"),
        ("warmup", "3072 tokens"),
        ("warmup", "5"),
        ("schedule", "linaer"),
        ("schedule", "wsd(cooldown=2)"),
        ("clip", 0.0),
        ("betas", (0.9, 1.0)),
        ("n_threads", 0),
        ("seed", -1),
    ],
)
def test_value_out_of_range_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(SpecError, match=key):
        msgspec.structs.replace(CONFIG, **{key: value})


def test_base_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="peak_lr"):
        msgspec.structs.replace(BASES["bytes-64"], peak_lr=0.0)
