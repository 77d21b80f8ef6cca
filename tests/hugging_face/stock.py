"""Models of the stock `transformers` library, and runs of ours that are held against them."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

os.environ["HF_HUB_OFFLINE"] = "1"  # before the library is imported

import transformers

from models.bases import BaseHyperparameters
from models.gpt import GPT
from training import trainer
from training.checkpoint import load_latest
from training.config import TrainConfig
from training.data import Corpus, load_corpus
from training.dense import DenseExecutor
from training.execution import Execution
from training.run_record import RunRecord
from wse_sim.spec.model import ModelShape

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

# Both compute in float32, but sum up products of other shapes in another order: each of a few dozen operations moves a
# number by a rounding, 2^-24 of it, and logits are up to 20 in size. The largest difference seen is 1e-5.
SAME = 2e-5

GPT2 = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=2, d_ff=48, vocab_size=256, seq_len=16)
LLAMA = ModelShape(
    name="tiny-llama",
    n_layers=2,
    d_model=32,
    n_heads=4,
    n_kv_heads=2,
    d_ff=48,
    vocab_size=256,
    seq_len=16,
    feed_forward="swiglu",
    norm="rmsnorm",
    positions="rotary",
    has_biases=False,
)
# No multiplier is 1 or a power of two, so that one that is forgotten shows.
BASE = BaseHyperparameters(
    d_base=12,
    depth_base=1,
    peak_lr=0.03,
    init_std=0.2,
    embedding_multiplier=3.1,
    logits_multiplier=1.7,
    attention_multiplier=1.3,
    source="made up",
    kind="assumed",
)
TOKENS_BT = torch.randint(256, (3, 16), generator=torch.Generator().manual_seed(5))


def gpt2_config(**others: Any) -> transformers.GPT2Config:
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 256, "n_positions": 16}
    return transformers.GPT2Config(**sizes | {"bos_token_id": None, "eos_token_id": None} | others)


def llama_config(**others: Any) -> transformers.LlamaConfig:
    sizes: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "vocab_size": 256}
    heads: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 16}
    return transformers.LlamaConfig(**sizes | heads | {"rms_norm_eps": 1e-5} | others)


def random_model(config: Any) -> Any:
    """A stock model all of whose numbers matter: biases and gains too."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def saved(folder: Path, config: Any, **how: Any) -> Any:
    """The stock model that was saved into a folder."""
    model = random_model(config)
    model.save_pretrained(folder, **how)
    return model


def loaded(folder: Path, **how: Any) -> Any:
    """The stock model of a folder, that finds there what it needs and nothing else."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **how)
    assert not any(info.values()), info
    return model


@torch.no_grad()
def stock_logits(model: Any) -> Tensor:
    logits: Tensor = model(TOKENS_BT).logits
    return logits


@torch.no_grad()
def own_logits(model: GPT) -> Tensor:
    logits: Tensor = model(TOKENS_BT)
    return logits


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


def small_run(shape: ModelShape = GPT2, parametrization: str = "mup", **others: Any) -> TrainConfig:
    """A run of three steps, whose learning rate moves biases far from 0."""
    return TrainConfig(
        shape=shape,
        parametrization=parametrization,  # type: ignore[arg-type]  # a word of the tests
        **{"data": "markov", "base": BASE, "n_steps": 3, "batch_size": 4, "seq_len": 16, "n_eval_sequences": 4}
        | others,
    )


@cache
def _corpus() -> Corpus:
    return load_corpus("markov")


def train(config: TrainConfig, run_dir: Path, **how: Any) -> RunRecord:
    """The record of a run on a corpus that is made once."""
    return trainer.train(config, run_dir, corpus=_corpus(), **how)


def trained_model(run_dir: Path) -> GPT:
    """The model of a run's last checkpoint, as the dense executor has it."""
    checkpoint, _ = load_latest(run_dir)
    assert checkpoint is not None
    config = checkpoint.meta.config
    return DenseExecutor(msgspec.structs.replace(config, execution=Execution()), checkpoint).model
