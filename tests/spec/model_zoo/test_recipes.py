"""The table of published recipes comes out of files in the published form, number by number."""

import math

import msgspec
import pytest

from tests.spec.model_zoo.published import ALL, MUP, PAIR, SP, SPARSE, Row, configuration, path_of, reading
from wse_sim.spec.load import load_model
from wse_sim.spec.model import Phase
from wse_sim.spec.model_zoo.learning_rate import share
from wse_sim.spec.model_zoo.ledger import Ledger
from wse_sim.spec.model_zoo.reading import read_phases
from wse_sim.spec.model_zoo.yaml_text import dotted, read_yaml
from wse_sim.spec.run import MaskUpdates
from wse_sim.spec.sparsity import SET, SPDF, RigL, Static, Update
from wse_sim.spec.sparsity.hyper import Cosine

PRESETS = {"1p3b": "1.3b", "2p7b": "2.7b", "6p7b": "6.7b", "13b_bs1080": "13b"}


@pytest.mark.parametrize(("name", "row"), ALL.items())
def test_a_file_says_its_row(name: str, row: Row) -> None:
    said = configuration(name)
    shape, recipe, base = said.shape, said.recipe, said.base
    assert recipe is not None
    assert base is not None
    (phase,) = read_phases(path_of(name), Ledger())
    assert phase.rate is not None
    found = Row(
        shape.d_model,
        shape.n_layers,
        shape.n_heads,
        shape.d_ff,
        recipe.batch_size,
        phase.rate.n_steps or 0,
        recipe.warmup_steps,
        recipe.peak_lr,
        phase.rate.end,
        recipe.decay,
        recipe.adam_eps,
        run=row.run and recipe.n_steps,
    )
    assert found == row
    assert recipe.n_steps == (row.run or row.steps)
    assert (recipe.betas, recipe.weight_decay, recipe.clip) == ((0.9, 0.95), 0.1, 1.0)
    assert recipe.end_lr_fraction == share(row.end, row.peak)
    assert base.peak_lr == row.peak
    seq_len = 1024 if "ift" in name else 2048
    assert (said.run.seq_len, shape.seq_len, shape.vocab_size, shape.is_tied) == (seq_len, seq_len, 50257, True)
    assert (shape.feed_forward, shape.positions, shape.norm, shape.has_biases) == ("gelu", "learned", "layernorm", True)
    assert said.tokens == row.batch * seq_len * (row.run or row.steps)
    assert not said.training.cannot_train
    assert not said.run.differs


@pytest.mark.parametrize("name", [name for name in ALL if name not in MUP])
def test_initial_weights_are_normal_with_a_fiftieth_and_smaller_behind_residual_branches(name: str) -> None:
    base, n_layers = configuration(name).base, ALL[name].n_layers
    assert base is not None
    assert (base.init_std, base.embedding_init_std) == (0.02, None)
    # 1.3B and 13B have the standard deviation of 32 layers in their files, 0.0025.
    published = 0.0025 if name.startswith(("1p3b", "13b")) else 0.02 / math.sqrt(2 * n_layers)
    assert base.sigma("hidden_out") / math.sqrt(2 * n_layers) == pytest.approx(published, rel=1e-15)


@pytest.mark.parametrize("name", MUP)
def test_what_mup_adds_is_the_base_of_the_paper(name: str) -> None:
    said = configuration(name)
    assert said.parametrization == "mup"
    base = said.base
    assert base is not None
    assert (base.d_base, base.init_std, base.peak_lr) == (256, 0.08, 6e-3)
    assert (base.embedding_init_std, base.residual_init_std) == (None, None)
    assert (base.embedding_multiplier, base.logits_multiplier, base.attention_multiplier) == (10.0, 1.0, 1.0)


@pytest.mark.parametrize("name", [name for name in (*SP, *MUP) if name != "13b_bs720"])  # it is the first phase alone
def test_presets_say_the_same(name: str) -> None:
    plain = name.removesuffix("_mup")
    preset, said = load_model(PRESETS.get(plain, plain)), configuration(name)
    assert msgspec.structs.replace(said.shape, name=preset.shape.name) == preset.shape
    theirs = preset.recipe_mup if name in MUP else preset.recipe
    assert theirs is not None
    # Files say no systems and no citation; base and phases are names and parts of ours; of the two largest of muP the
    # files decay by cosine and the paper, which the presets follow, by a straight line.
    decay = "cosine" if name in ("1p3b_mup", "2p7b_mup") else theirs.decay
    wanted = msgspec.structs.replace(theirs, num_csx=None, base=None, phases=(), source=path_of(name), decay=decay)
    assert said.recipe == wanted


def test_two_batch_sizes_make_the_phases_of_the_preset() -> None:
    said, preset = configuration("13b_bs720", "13b_bs1080"), load_model("13b")
    assert said.recipe is not None
    assert preset.recipe is not None
    phases = tuple(msgspec.structs.replace(phase, num_csx=None) for phase in preset.recipe.phases)
    assert phases == (
        Phase(batch_size=720, first_step=0, last_step=57_000, warmup_steps=254, decay_steps=174_081),
        Phase(batch_size=1080, first_step=38_000, last_step=116_223, warmup_steps=169, decay_steps=116_054),
    )
    assert said.recipe.phases == phases
    assert said.tokens == 116_223 * 1080 * 2048
    assert "the first 57,000 steps have 720 sequences" in said.training.differs[-1]


RIGL = RigL(drop_fraction=Cosine(init=0.3, half_period=3584), update=Update(freq=100, stop=3584))
SPARSITY = {
    "125m_static75": (Static(), 0.25, None),
    "125m_set75": (
        SET(drop_fraction=RIGL.drop_fraction, update=RIGL.update),
        0.25,
        MaskUpdates(algorithm="set", every_steps=100, until=3584 / 4778),
    ),
    "125m_rigl75": (RIGL, 0.25, MaskUpdates(algorithm="rigl", every_steps=100, until=3584 / 4778)),
    "125m_ift_dense": (Static(), 1.0, None),
    "125m_ift_static50": (Static(), 0.5, None),
    "125m_ift_rigl75": (
        RigL(drop_fraction=Cosine(init=0.3, half_period=17_209), update=Update(freq=500, stop=17_209)),
        0.25,
        MaskUpdates(algorithm="rigl", every_steps=500, until=17_209 / 21_511),
    ),
    "6p7b_vspdf_phase1": (Static(), 0.1, None),
    "6p7b_vspdf_phase2": (Static(), 1.0, None),
}


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_recipes_mask_every_hidden_matrix_as_they_say(name: str) -> None:
    said = configuration(name)
    algorithm, density, updates = SPARSITY[name]
    assert (said.run.sparsity, said.run.density, said.mask_updates) == ((algorithm,), density, updates)


def test_the_pair_of_vspdf_is_one_run_whose_masks_are_lifted() -> None:
    said = configuration(*PAIR)
    assert said.recipe is not None
    assert said.n_steps == 62_523 + 9_379
    assert said.run.sparsity == (SPDF(lift_at=62_523),)
    assert said.run.density == 0.1
    assert said.mask_updates == MaskUpdates(algorithm="spdf", until=62_523 / 71_902)
    assert (said.recipe.peak_lr, said.recipe.warmup_steps) == (3.6e-4, 177)
    assert "moments" in said.training.differs[-2]
    assert "projected loss" in said.training.differs[-1]


def test_llama_bert_and_the_flat_form_are_read() -> None:
    llama, preset = configuration("llama2_70b"), load_model("llama-2-70b")
    assert msgspec.structs.replace(llama.shape, name=preset.shape.name) == preset.shape
    assert (llama.num_csx, llama.run.seed, llama.n_steps) == (16, 1, 476_837)
    assert llama.recipe is not None
    assert (llama.recipe.warmup_steps, llama.recipe.peak_lr, llama.recipe.adam_eps) == (2_000, 1.5e-4, 1e-5)

    bert = configuration("bert_large")
    of_preset = msgspec.structs.replace(load_model("bert-large").shape, name="bert_large", seq_len=512)
    assert bert.shape == of_preset
    assert bert.run.seq_len == 128
    assert bert.recipe is not None
    assert (bert.recipe.betas, bert.recipe.adam_eps) == ((0.9, 0.999), 1e-6)  # the defaults of Cerebras PyTorch

    flat = configuration("gpt2_small_legacy")
    assert flat.recipe is not None
    assert (flat.num_csx, flat.batch_size, flat.n_steps, flat.run.seed) == (2, 112, 151_600, 1)
    assert (flat.training.schedule, flat.training.warmup) == ("linear", "1600/151600")
    assert (flat.recipe.weight_decay, flat.recipe.clip, flat.training.precision) == (0.01, 1.0, "bf16")
    assert any("dropout_rate 0.1" in line for line in flat.training.differs)


def leaves(name: str) -> list[str]:
    """The keys of all values of a file that hold no others."""
    paths = list(read_yaml(path_of(name)).lines)
    above = {path[:n] for path in paths for n in range(len(path))}
    return [dotted(path) for path in paths if path not in above]


@pytest.mark.parametrize("name", [*ALL, "llama2_70b", "bert_large", "tiny_rigl"])
def test_every_key_of_a_file_is_in_the_ledger_once(name: str) -> None:
    ledger = reading(name).ledger
    noted = [entry.key for entry in (*ledger.understood, *ledger.ignored)]
    silent = [key for key in leaves(name) if not any(f"{key}.".startswith((f"{n}.", f"{n}[")) for n in noted)]
    assert not silent
    assert len(set(noted)) == len(noted)
