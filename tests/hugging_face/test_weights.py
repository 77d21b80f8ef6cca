"""Weights from folders of the stock library: the logits are its own, and runs go on from them."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch

from models.hugging_face import HuggingFaceWeights, load_gpt, read_tensors
from tests.hugging_face.stock import (
    SAME,
    TOKENS_BT,
    difference,
    gpt2_config,
    llama_config,
    own_logits,
    random_model,
    saved,
    small_run,
    stock_logits,
    train,
)
from training.checkpoint import load_latest
from training.config import InitFrom, TrainConfig
from training.execution import Execution
from training.executors import make_executor
from training.imported import imported, start_sparsity
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity import Static

STREAMING = Execution(executor="streaming", precision="fp32")


@pytest.mark.parametrize(
    "config",
    [
        gpt2_config(activation_function="gelu"),  # Cerebras-GPT's
        gpt2_config(activation_function="gelu_new", n_inner=40),  # OpenAI's
        gpt2_config(tie_word_embeddings=False),
        llama_config(),
        llama_config(attention_bias=True, mlp_bias=True, num_key_value_heads=1, tie_word_embeddings=True),
    ],
)
def test_a_model_from_a_folder_has_the_stock_models_logits(config: Any, tmp_path: Path) -> None:
    stock = saved(tmp_path, config)
    assert difference(own_logits(load_gpt(tmp_path)), stock_logits(stock)) <= SAME


def test_every_form_of_a_folder_is_the_same_model(tmp_path: Path) -> None:
    stock = saved(tmp_path / "one", gpt2_config())
    wanted = own_logits(load_gpt(tmp_path / "one"))
    stock.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    stock.transformer.save_pretrained(tmp_path / "bare")
    assert "wte.weight" in read_tensors(tmp_path / "bare")
    shutil.copytree(tmp_path / "one", tmp_path / "old")  # tables and a copy of the embedding, as older versions wrote
    tensors = safetensors.torch.load_file(tmp_path / "one" / "model.safetensors")
    tensors |= {
        "lm_head.weight": tensors["transformer.wte.weight"].clone(),
        "transformer.h.0.attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.bool).tril(),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    safetensors.torch.save_file(tensors, tmp_path / "old" / "model.safetensors")
    for form in ("shards", "bare", "old"):
        assert torch.equal(own_logits(load_gpt(tmp_path / form)), wanted), form


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_of_16_bits_are_taken_as_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    stock = random_model(gpt2_config()).to(dtype)
    stock.save_pretrained(tmp_path)
    assert difference(own_logits(load_gpt(tmp_path)), stock_logits(stock.float())) <= SAME


def written(folder: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> None:
    """A stock model's folder, changed."""
    saved(folder, gpt2_config())
    config = json.loads((folder / "config.json").read_text())
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    change(config, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(tensors, folder / "model.safetensors")


C_ATTN = "transformer.h.1.attn.c_attn.weight"
MISTAKES: list[tuple[Callable[[Any, Any], Any], str]] = [
    (lambda c, t: t.pop(C_ATTN), f"there is no tensor {C_ATTN}"),
    (lambda c, t: t.update({C_ATTN: t[C_ATTN].T.contiguous()}), r"c_attn.weight is 96 x 32, .*it is 32 x 96"),
    (lambda c, t: t.update({C_ATTN: t[C_ATTN].int()}), "holds torch.int32"),
    (lambda c, t: t.update({"transformer.h.2.ln_1.bias": torch.ones(32)}), "holds a tensor transformer.h.2.ln_1.bias"),
    (lambda c, t: t.update({"lm_head.weight": torch.ones(256, 32)}), "tie_word_embeddings.* would be right"),
    (lambda c, t: c.update(n_layer=3), "there is no tensor transformer.h.2"),
    (
        lambda c, t: c.update(activation_function="relu"),
        "activation_function is 'relu', and the models here have 'gelu'",
    ),
    (lambda c, t: c.update(layer_norm_epsilon=1e-6), "layer_norm_epsilon is 1e-06"),
    (lambda c, t: c.update(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx is True"),
    (lambda c, t: c.update(model_type="mistral"), "model_type is 'mistral': weights of gpt2 and llama"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_folder_that_is_not_this_model_is_refused_with_its_place(
    change: Callable[[Any, Any], None], message: str, tmp_path: Path
) -> None:
    written(tmp_path, change)
    with pytest.raises(SpecError, match=message):
        load_gpt(tmp_path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    saved(tmp_path, gpt2_config())
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SpecError, match=r"model\.safetensors: is no whole safetensors file \(it ends within"):
        load_gpt(tmp_path)
    path.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(SpecError, match=r"a pickle, which may run any code .*\.save_pretrained"):
        load_gpt(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(SpecError, match="there are no weights here"):
        load_gpt(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "a.safetensors"}}')
    with pytest.raises(SpecError, match=r"a\.safetensors: cannot be read"):
        load_gpt(tmp_path)
    saved(tmp_path, llama_config(rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}))
    with pytest.raises(SpecError, match="rotated by linear with theta 10000"):
        load_gpt(tmp_path)


# Training from them


def beginning(folder: Path, **others: Any) -> TrainConfig:
    shape = HuggingFaceWeights(folder).shape
    return small_run(shape, "sp", init_from=InitFrom(folder=str(folder)), **others)


@pytest.mark.parametrize("execution", [Execution(), STREAMING])
def test_a_run_begins_with_the_stock_models_loss(execution: Execution, tmp_path: Path) -> None:
    stock = saved(tmp_path, gpt2_config())
    executor = make_executor(beginning(tmp_path, execution=execution))
    loss = executor.evaluate([(TOKENS_BT[:, :-1], TOKENS_BT[:, 1:])])
    assert loss == pytest.approx(stock(TOKENS_BT, labels=TOKENS_BT).loss.item(), abs=2e-6)


def test_both_executors_go_on_alike_and_so_does_a_resumed_run_without_the_folder(tmp_path: Path) -> None:
    saved(tmp_path / "from", gpt2_config())
    how: dict[str, Any] = {"density": 0.25, "sparsity": Static(init_method="topk"), "checkpoint_interval": 2}
    whole = train(beginning(tmp_path / "from", **how), tmp_path / "whole")
    streamed = train(beginning(tmp_path / "from", execution=STREAMING, **how), tmp_path / "streamed")
    assert streamed.val_loss == pytest.approx(whole.val_loss, abs=2e-6)
    origin = whole.config.init_from
    assert origin is not None
    assert origin.sha256 == sha256((tmp_path / "from" / "model.safetensors").read_bytes()).hexdigest()
    for name in ("whole", "streamed"):
        run_dir = tmp_path / name
        for path in (run_dir / "checkpoints").glob("*3.*"):
            path.unlink()
    config = beginning(tmp_path / "from", **how)
    shutil.rmtree(tmp_path / "from")
    assert train(config, tmp_path / "whole", resume=True).val_loss == whole.val_loss
    config = msgspec.structs.replace(config, execution=STREAMING)
    assert train(config, tmp_path / "streamed", resume=True).val_loss == streamed.val_loss


def test_masks_of_the_largest_weights_and_of_zeros_are_those_of_the_folder(tmp_path: Path) -> None:
    def prune(config: Any, tensors: Any) -> None:
        up = tensors["transformer.h.0.mlp.c_fc.weight"]
        up[up.abs() < up.abs().median()] = 0.0  # half of one matrix
        tensors["transformer.h.1.mlp.c_proj.weight"][:3] = 0.0  # and three channels of another

    written(tmp_path, prune)
    weights = HuggingFaceWeights(tmp_path)
    start, name = imported(str(tmp_path), None)
    assert (name, start.shape, start.base) == ("sp", weights.shape, None)
    for method, density in (("from_zeros", 1.0), ("topk", 0.25)):
        sparsity = start_sparsity(start, method, density)
        for execution in (Execution(), STREAMING):
            config = beginning(tmp_path, density=density, sparsity=sparsity, execution=execution)
            run_dir = tmp_path / method / execution.executor
            train(msgspec.structs.replace(config, n_steps=1), run_dir)
            checkpoint, _ = load_latest(run_dir)
            assert checkpoint is not None
            for parameter, mask in checkpoint.masks.items():
                weight = weights[parameter].numpy()
                if method == "from_zeros":
                    assert np.array_equal(mask, weight != 0)
                else:
                    assert mask.sum() == mask.size // 4
                    assert abs(weight[mask]).min() >= abs(weight[~mask]).max()
            assert len(checkpoint.masks) == (2 if method == "from_zeros" else 8)


def test_masks_that_weights_cannot_have_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, gpt2_config())
    start, _ = imported(str(tmp_path), "sp")
    with pytest.raises(SpecError, match="no weight of a hidden matrix is 0"):
        start_sparsity(start, "from_zeros", 1.0)
    with pytest.raises(SpecError, match="nothing to mask at density 1"):
        start_sparsity(start, "topk", 1.0)


def test_weights_that_changed_since_the_configuration_was_written_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, gpt2_config())
    config = beginning(tmp_path)
    wrong = msgspec.structs.replace(config, init_from=InitFrom(folder=str(tmp_path), sha256="0" * 64))
    with pytest.raises(SpecError, match="the weights have the sha256"):
        train(wrong, tmp_path / "run")
    other_heads = msgspec.structs.replace(config, shape=msgspec.structs.replace(config.shape, n_heads=2))
    with pytest.raises(SpecError, match=r"says n_heads = 4, and the model that is to begin with its weights has 2"):
        train(other_heads, tmp_path / "run")
    with pytest.raises(SpecError, match="--parametrization sp"):
        train(msgspec.structs.replace(config, parametrization="mup"), tmp_path / "run")
