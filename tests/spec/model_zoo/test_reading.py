"""What is understood, what is ignored and why, and what is refused with file, line and key."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.spec.model_zoo.published import BLOCK, TINY, changed, configuration, path_of
from wse_sim.errors import SpecError
from wse_sim.spec.configuration_text import configuration_text
from wse_sim.spec.load import load_model
from wse_sim.spec.model_zoo.reasons import Affects
from wse_sim.spec.read_configuration import read_configuration

SHAPE = "[shape]\nname='a'\nn_layers=1\nd_model=8\nn_heads=1\nd_ff=8\nvocab_size=300\nseq_len=8\n"
RUN = "[run]\nseq_len = 8\nbatch_size = 1\nn_steps = 4\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden_size: 64", "hidden_size: wide", r"line 10: trainer\.init\.model\.hidden_size is wide, it must be"),
        ("num_heads: 2", "num_heads: 3", r"line 9: trainer\.init\.model: .* d_model 64 is not a multiple of n_heads 3"),
        ("name: gpt3", "name: t5", "line 9: trainer.init.model.name: unknown name 't5'"),
        ("nonlinearity: gelu", "nonlinearity: gellu", "line 21: .*did you mean 'gelu'"),
        ("embeddings: 32", "embeddings: 32\n      attention_inner_dim: 32", "attention_inner_dim is 32 and"),
        ("embeddings: 32", "embeddings: 32\n      moe: {num_experts: 8}", r"num_experts is 8: mixtures of"),
        ("embeddings: 32", "embeddings: 32\n      mup_base_hidden_size: 32", "there is no mup_base_filter_size"),
        ("dropout_rate: 0.0", "output_logits_scale: 0.3\n      dropout_rate: 0.0", "before release 2.3"),
        ("embeddings: 32", "embeddings: 32\n      initializer_range: 0", "params_small.yaml: base .* init_std is 0"),
        ("batch_size: 4", "batch_size: 4\n      max_sequence_length: 64", "params_small.yaml: seq_len is 64"),
        ("max_steps: 20", "num_epochs: 1", "line 47: trainer.init.loop: there is no max_steps"),
        ("batch_size: 4", "batch_size: 4.5", r"train_dataloader\.batch_size is 4\.5"),
        ("      batch_size: 4\n", "", "train_dataloader: there is no batch_size"),
        ("trainer:\n  init:", "trainer:\n  start:", "line 4: trainer: there is no init"),
        ("trainer:", "training:", "there is no trainer: the form of Cerebras ModelZoo is trainer: init"),
        ("- SequentialLR", "- SequentailLR", "line 30: .*did you mean 'SequentialLR'"),
        ("CosineDecayLR", "CosineAnnealingLR", "line 32: .*unknown scheduler 'CosineAnnealingLR'"),
        ("end_learning_rate: 6e-3, t", "end_learning_rate: -1, t", "is -1, it must be a number"),
        ("total_iters: 4}", "total_iters: 0}", "total_iters is 0, it must be a whole number, at least 1"),
        ("    schedulers:\n    - S", "    schedulers:\n    - LinearWD: {}\n    - S", r"are 2 \(LinearWD, S"),
        ("algorithm: rigl", "algorithm: riggl", "did you mean 'rigl'"),
        ("sparsity: 0.75", "sparsity: 1.5", r"line 37: .*: sparsity is 1\.5, it must be at least 0 and below 1"),
        ("freq: 5", "freq: 5, start: 20", "line 37: trainer.init.sparsity: update: no step of a run of 20"),
        (BLOCK, "    sparsity: many\n", "line 36: trainer.init.sparsity is many, it must say an algorithm"),
        (BLOCK, "    sparsity: true\n", "line 36: trainer.init.sparsity is True: it must be a number"),
        (BLOCK, "    sparsity: []\n", "line 36: trainer.init.sparsity: is empty"),
        (TINY[TINY.index("trainer:") :], "trainer: []\n", r"trainer is \[\], it must be a list of mappings"),
        ("- LinearLR: {initial_learning_rate: 0.0, end_learning_rate: 6e-3, total_iters: 4}", "- LinearLR:",
         r"schedulers\[0\] holds nothing, it must hold one scheduler"),
        ("freq: 5", "fraq: 5", "did you mean 'freq'"),
        ("proj_[qkv]_d", "proj_q_d", "leaves out .*proj_k_dense_layer.weight.*query, key and value are one matrix"),
        ("'*proj_[qkv]_dense_layer.weight'", "'*'", "matches model.embedding_layer.*stay dense"),
        ("      AdamW:\n", "      AdamW: {}\n      Other:\n", "holds AdamW, Other, it must hold one"),
        ("seed: 7", "seed: -1", "seed is -1, it must be a whole number, at least 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        changed(tmp_path, (old, new))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "line", "why", "affects"),
    [
        ("model.flux_capacity", "flux_capacity: 3", "not a key of the published form that wse-sim knows", "both"),
        ("model.use_bias_in_output", "use_bias_in_output: true", "the output layer has no bias here", "both"),
        ("model.attention_sliding_window_length", "attention_sliding_window_length: 8", "attention reaches", "both"),
        ("model.attention_kernel", "attention_kernel: fast", "how Cerebras software computes it, not what", "nothing"),
        ("model.attention_logits_alpha", "attention_logits_alpha: 4.0", "acts in μP alone", "training"),
        ("model.scale_qk_dot_by_d", "scale_qk_dot_by_d: true", "acts in μP alone", "training"),
        ("model.ffn_initializer", "ffn_initializer: {name: normal, std: 1}", "feed-forward starts", "training"),
        ("model.loss_weight", "loss_scaling: batch_size\n      loss_weight: 0.5", "the loss is the mean", "training"),
        ("model.loop_dim", "loop_dim: 1", "about generating text", "nothing"),
        ("model.vocab_projection", "vocab_projection:", "says nothing", "nothing"),
    ],
)  # fmt: skip
def test_what_is_ignored_says_why_and_what_it_changes(
    tmp_path: Path, key: str, line: str, why: str, affects: Affects
) -> None:
    found = changed(tmp_path, ("      name: gpt3\n", f"      name: gpt3\n      {line}\n"))
    (entry,) = (entry for entry in found.ledger.ignored if entry.key == f"trainer.init.{key}")
    assert entry.why.startswith(why)
    assert (entry.affects, entry.line) == (affects, 10 + line.count("\n"))
    training, simulation = found.configuration.training.differs, found.configuration.run.differs
    assert any(key in line for line in training) == (affects in ("training", "both"))
    assert any(key in line for line in simulation) == (affects in ("simulation", "both"))


def test_a_misspelt_key_names_the_one_that_may_be_meant_and_what_was_taken_for_it(tmp_path: Path) -> None:
    found = changed(tmp_path, ("hidden_size: 64", "hiden_size: 64"), ("num_heads: 2", "num_heads: 12"))
    (entry,) = (entry for entry in found.ledger.ignored if entry.key.endswith("hiden_size"))
    assert entry.why.endswith("knows: did you mean hidden_size, of which the default 768 was taken?")
    assert found.configuration.shape.d_model == 768


@pytest.mark.parametrize(
    ("enabled", "precision", "became"), [("true", "bf16", "16 bits"), ("false", "fp32", "32 bits where it trains")]
)
def test_the_word_for_the_precision_is_that_of_the_toml(
    tmp_path: Path, enabled: str, precision: str, became: str
) -> None:
    block = TINY[TINY.index("    precision:") : TINY.index("max_gradient_norm")]
    found = changed(tmp_path, (block, f"    precision:\n      enabled: {enabled}\n      "))
    (entry,) = (entry for entry in found.ledger.understood if entry.key.endswith("precision.enabled"))
    assert entry.became.startswith(f"matrix products in {became}")
    assert found.configuration.training.precision == precision


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("AdamW:", "Adam:", "the optimizer is Adam with weight_decay 0.1, which it adds to gradients"),
        ("      AdamW:", "      SGD:", "the optimizer is SGD: wse-sim trains with AdamW"),
        ("max_gradient_norm: 1.0", "max_gradient_value: 1.0", "gradients are clipped one by one"),
        ("dropout_rate: 0.0", "initializer: {name: xavier_uniform}\n      dropout_rate: 0.0", "initializer is xavier"),
        ("dropout_rate: 0.0", "mup_base_hidden_size: 32\n      mup_base_filter_size: 64\n      dropout_rate: 0.0",
         "feed-forward is 4 times as wide as mup_base_filter_size, the model 2 times"),
        ("dropout_rate: 0.0", "mup_base_hidden_size: 32\n      mup_base_filter_size: 128\n"
         "      scale_qk_dot_by_d: false\n      dropout_rate: 0.0", "scale_qk_dot_by_d is false"),
    ],
)  # fmt: skip
def test_what_would_train_as_something_else_is_simulated_alone(tmp_path: Path, old: str, new: str, reason: str) -> None:
    said = changed(tmp_path, (old, new)).configuration
    assert any(why.startswith(reason) for why in said.training.cannot_train)
    assert said.batch_size == 4


def test_mup_takes_its_multipliers_and_folds_the_square_root_of_logits(tmp_path: Path) -> None:
    mup = (
        "mup_base_hidden_size: 16.0\n      mup_base_filter_size: 64\n      embeddings_scale: 10\n"
        "      output_logits_alpha: 2.22\n      scale_output_logits_by_d: false\n      attention_logits_alpha: 4\n"
        "      output_layer_initializer: {name: truncated_normal, std: 0.04}\n"
    )
    said = changed(tmp_path, ("dropout_rate: 0.0\n", f"dropout_rate: 0.0\n      {mup}")).configuration
    assert said.base is not None
    assert (said.parametrization, said.base.d_base, said.base.embedding_multiplier) == ("mup", 16, 10.0)
    # alpha / sqrt(m_d) = (alpha sqrt(m_d)) / m_d with m_d = 4.
    assert said.base.logits_multiplier == 2.22 * 2.0
    assert (said.base.attention_multiplier, said.base.init_std, said.base.residual_init_std) == (4.0, 0.02, 0.04)


SCHEDULES: Sequence[tuple[str, str, str]] = (
    ("LinearLR: {initial_learning_rate: 0.0, end_learning_rate: 7.5e-5, total_iters: 20}",
     "segments(of=20,starts=[0],over=[20],first=[0],last=[1],shapes=[linear])", "0 steps"),
    ("ConstantLR: {learning_rate: 0.001}", "constant", "0 steps"),
    ("PiecewiseConstantLR: {learning_rates: [0.002, 0.001], milestones: [12]}",
     "segments(of=20,starts=[0,12],over=[1,1],first=[1,0.5],last=[1,0.5],shapes=[linear,linear])", "0 steps"),
    ("SequentialLR: {milestones: [5], schedulers: [LinearLR: {initial_learning_rate: 0, end_learning_rate: 1e-3, "
     "total_iters: 4}, ConstantLR: {learning_rate: 1e-3}]}",
     "segments(of=20,starts=[0,5],over=[4,1],first=[0,1],last=[1,1],shapes=[linear,linear])", "0 steps"),
    ("SequentialLR: {schedulers: [LinearLR: {initial_learning_rate: 0, end_learning_rate: 1e-3, total_iters: 5}, "
     "LinearLR: {initial_learning_rate: 1e-3, end_learning_rate: 0, total_iters: 15}]}", "linear", "5/20"),
    ("SequentialLR: {schedulers: [LinearLR: {initial_learning_rate: 0, end_learning_rate: 1e-3, total_iters: 5}, "
     "CosineDecayLR: {initial_learning_rate: 1e-3, end_learning_rate: 3e-4, total_iters: 15}]}",
     "cosine(floor=0.3)", "5/20"),
)  # fmt: skip


@pytest.mark.parametrize(("scheduler", "schedule", "warmup"), SCHEDULES)
def test_schedulers_are_fractions_of_their_peak(tmp_path: Path, scheduler: str, schedule: str, warmup: str) -> None:
    block = TINY[TINY.index("    - SequentialLR:") : TINY.index("    precision:")]
    training = changed(tmp_path, (block, f"    - {scheduler}\n")).configuration.training
    assert (training.schedule, training.warmup, training.first_step_lr) == (schedule, warmup, "zero")


def test_phases_may_stand_in_one_file(tmp_path: Path) -> None:
    inner = TINY[TINY.index("trainer:") :].replace(BLOCK, "")
    listed = (
        "trainer:\n"
        + "".join(f"- {line}\n" if line == "trainer:" else f"  {line}\n" for line in inner.splitlines()) * 2
    )
    path = tmp_path / "two.yaml"
    path.write_text(listed, encoding="utf-8")
    said = read_configuration([str(path)]).configuration
    assert said.n_steps == 40
    assert said.training.schedule.startswith("segments(of=40,starts=[0,4,20,24],over=[4,16,4,16]")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("111m", "256m"), "models of different shapes"),
        (("6p7b", "6p7b_vspdf_phase1", "13b_bs720"), "models of different shapes"),
        (("6p7b_vspdf_phase2", "6p7b_vspdf_phase1"), "masks change between the phases, other than static ones"),
        (("125m_rigl75", "125m_static75"), "masks change between the phases"),
        (("13b_bs1080", "13b_bs720"), "do not end after the same sequences|not phases of one run"),
        (("111m", "111m_mup"), "the phases have parametrization sp and mup"),
    ],
)
def test_files_that_are_no_phases_of_one_run_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        configuration(*names)


@pytest.mark.parametrize(
    "names", [("111m",), ("2p7b_mup",), ("125m_rigl75",), ("13b_bs720", "13b_bs1080"),
              ("6p7b_vspdf_phase1", "6p7b_vspdf_phase2"), ("llama2_70b",), ("bert_large",), ("gpt2_small_legacy",)],
)  # fmt: skip
def test_the_equivalent_toml_is_the_same_configuration(tmp_path: Path, names: tuple[str, ...]) -> None:
    said = configuration(*names)
    path = tmp_path / "run.toml"
    path.write_text(configuration_text(said), encoding="utf-8")
    assert read_configuration([str(path)]).configuration == said
    assert load_model(str(path)) == said.preset


def test_a_model_may_be_named_by_its_configuration() -> None:
    assert load_model(path_of("111m_mup")) == configuration("111m_mup").preset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_steps = 3\n", "this is a run's config.toml"),
        ("[shape]\n", r"there is no table \[run\]"),
        ("[run]\nseq_len = 8\n", r"there is no table \[shape\]"),
        (f"[run]\nseq_leng = 8\n{SHAPE}",
         "did you mean 'seq_len'"),
        (f"[run]\nseq_len = 8\n{SHAPE}",
         r"neither a recipe nor run\.batch_size"),
        (f"[run]\nseq_len = 9\nbatch_size=1\nn_steps=1\n{SHAPE}", "seq_len is 9"),
        (f"[run]\nseq_len = 8\nbatch_size=1\nn_steps=0\n{SHAPE}", "n_steps is 0: it must be at least 1"),
        (f"{RUN}sparsity='x'\n{SHAPE}", "run.sparsity is 'x': it must be a number, a table or a list of tables"),
        (f"{RUN}sparsity=1.0\n{SHAPE}", r"run\.sparsity: sparsity is 1\.0, it must be at least 0 and below 1"),
        (f"{RUN}sparsity=0.75\ndensity=0.5\n{SHAPE}", r"density is 0\.5, but run\.sparsity makes it 0\.25"),
        (f"{RUN}sparsity={{groups=[], sparsity=0.5}}\n{SHAPE}", "sparsity stands beside groups"),
    ],
)  # fmt: skip
def test_a_toml_that_is_no_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_configuration([str(path)])


@pytest.mark.parametrize(
    ("said", "density"),
    [
        ("sparsity=0.75", 0.25),
        ("sparsity={algorithm='set', sparsity=0.75}\ndensity=0.25", 0.25),
        ("sparsity={algorithm='set'}\ndensity=0.25", 0.25),
        ("sparsity={sparsity=0.75, param_filter='*.attention.*'}", 0.5),  # 4 of 6 x 8 x 8
        ("", 1.0),
    ],
)
def test_in_toml_the_density_is_what_sparsity_makes(tmp_path: Path, said: str, density: float) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f"{RUN}{said}\n{SHAPE}", encoding="utf-8")
    assert read_configuration([str(path)]).configuration.run.density == density


def test_a_folder_of_data_that_is_here_is_what_trains(tmp_path: Path) -> None:
    here = tmp_path / "corpus"
    here.mkdir()
    found = changed(tmp_path, ("./pile/train/", str(here)))
    assert found.configuration.training.data == str(here)
    elsewhere = changed(tmp_path, ("./pile/train/", "3")).ledger.ignored
    assert [(e.value, e.why[:11]) for e in elsewhere if e.key.endswith("train_dataloader.data_dir")] == [
        ("3", "is not here")
    ]
    assert not found.configuration.training.differs


def test_messages_of_several_files_name_the_file() -> None:
    with pytest.raises(SpecError, match=re.escape("nowhere.yaml")):
        read_configuration([path_of("111m"), "nowhere.yaml"])
    with pytest.raises(SpecError, match=r"one file .* is read, or one or several"):
        read_configuration([])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("model: [1]", r"line 1: model is \[1\], it must be a mapping"),
        ("model:", "model is None, it must be a mapping"),
        ("optimizer: 3", "optimizer is 3, it must be"),
        ("optimizer: {learning_rate: [3]}", "line 1: optimizer.learning_rate is 3, it must be a mapping"),
    ],
)
def test_a_part_of_the_flat_form_that_is_no_mapping_is_refused(tmp_path: Path, part: str, message: str) -> None:
    path = tmp_path / "flat.yaml"
    others = "".join(f"{key}: {{}}\n" for key in ("model", "optimizer", "runconfig") if not part.startswith(key))
    path.write_text(f"{part}\n{others}", encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_configuration([str(path)])
