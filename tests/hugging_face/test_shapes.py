"""Shapes from `config.json`, held against the parameters of the stock models."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as T

from models.hugging_face import load_gpt
from tests.hugging_face.stock import gpt2_config, llama_config, own_logits, saved
from wse_sim.spec.hugging_face import shape_from_hugging_face
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import n_parameters


def shape_of(config: Any, folder: Path) -> ModelShape:
    config.save_pretrained(folder)
    return shape_from_hugging_face(json.loads((folder / "config.json").read_text()), name="x", where="config.json")


def n_stock(model: type, config: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model(config).parameters())


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (T.GPT2LMHeadModel, T.GPT2Config()),
        (T.GPT2LMHeadModel, gpt2_config(n_inner=100, tie_word_embeddings=False)),
        (T.GPTNeoXForCausalLM, T.GPTNeoXConfig()),
        (
            T.GPTNeoXForCausalLM,  # Pythia 70M
            T.GPTNeoXConfig(
                hidden_size=512,
                num_hidden_layers=6,
                num_attention_heads=8,
                intermediate_size=2048,
                vocab_size=50304,
            ),
        ),
        (T.LlamaForCausalLM, T.LlamaConfig()),
        (
            T.LlamaForCausalLM,  # Llama 3 8B
            T.LlamaConfig(
                num_key_value_heads=8,
                head_dim=128,
                intermediate_size=14336,
                vocab_size=128256,
                max_position_embeddings=8192,
            ),
        ),
        (T.LlamaForCausalLM, llama_config(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
        (T.MistralForCausalLM, T.MistralConfig()),
        (T.GPTBigCodeForCausalLM, T.GPTBigCodeConfig()),
        (T.GPTBigCodeForCausalLM, T.GPTBigCodeConfig(multi_query=False)),
        (T.MptForCausalLM, T.MptConfig()),
    ],
)
def test_a_shape_has_the_parameters_of_the_stock_model(model: type, config: Any, tmp_path: Path) -> None:
    assert n_parameters(shape_of(config, tmp_path)) == n_stock(model, config)


def test_where_a_family_differs_it_is_by_what_the_docs_say(tmp_path: Path) -> None:
    gptj = shape_of(T.GPTJConfig(), tmp_path)
    missing_norm_and_biases = 6 * gptj.d_model * gptj.n_layers
    assert n_stock(T.GPTJForCausalLM, T.GPTJConfig()) == n_parameters(gptj) - missing_norm_and_biases + gptj.vocab_size
    bert = shape_of(T.BertConfig(), tmp_path)
    d = bert.d_model
    head = d * d + 3 * d + bert.vocab_size  # a linear layer with its norm, and a bias of the output
    pooler, next_sentence = d * d + d, 2 * d + 2
    of_masks = n_parameters(bert) + 2 * d + head  # and two kinds of segments
    assert n_stock(T.BertForMaskedLM, T.BertConfig()) == of_masks
    assert n_stock(T.BertForPreTraining, T.BertConfig()) == of_masks + pooler + next_sentence


@pytest.mark.parametrize("family", ["gpt2", "gpt_bigcode", "gptj", "gpt_neox", "llama", "mistral", "mpt", "bert"])
def test_a_key_that_is_left_out_is_the_familys_default(family: str, tmp_path: Path) -> None:
    default = shape_of(T.AutoConfig.for_model(family), tmp_path)
    assert shape_from_hugging_face({"model_type": family}, name="x", where="config.json") == default


def test_configs_of_transformers_4_and_5_give_the_same_shape_and_weights(tmp_path: Path) -> None:
    saved(tmp_path, llama_config())
    new, logits = json.loads((tmp_path / "config.json").read_text()), own_logits(load_gpt(tmp_path))
    old = {key: value for key, value in new.items() if key not in ("rope_parameters", "dtype", "head_dim")}
    old |= {"rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "float32"}
    assert "rope_parameters" in new
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert torch.equal(own_logits(load_gpt(tmp_path)), logits)
