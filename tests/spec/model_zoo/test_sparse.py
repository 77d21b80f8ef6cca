"""The `sparsity:` block: filters find our matrices, and each key has a line that says what it became."""

from pathlib import Path

import pytest

from tests.spec.model_zoo.published import BLOCK, PAIR, changed, configuration
from wse_sim.errors import SpecError
from wse_sim.runs import run_from_configuration
from wse_sim.spec.model_zoo.ledger import Ledger
from wse_sim.spec.run import MaskUpdates
from wse_sim.spec.sparsity import GMP, RigL, Static


@pytest.mark.parametrize(
    ("block", "algorithms", "density"),
    [
        ("    sparsity: 0.5\n", (Static(),), 0.5),
        ("    sparsity: {sparsity: 0.9}\n", (Static(),), 0.1),
        ("", (Static(),), 1.0),
        # A quarter of attention's 4 x 64 x 64, half of the rest, 8 x 64 x 64: (0.25 x 4 + 0.5 x 8)/12.
        (
            "    sparsity:\n    - {sparsity: 0.75, param_filter: '*self_attn*'}\n"
            "    - {sparsity: 0.5, param_filter: ['*ffn*']}\n",
            (
                Static(sparsity=0.75, param_filter=("blocks.*.attention.qkv.weight", "blocks.*.attention.out.weight")),
                Static(sparsity=0.5, param_filter=("blocks.*.mlp.up.weight", "blocks.*.mlp.down.weight")),
            ),
            5 / 12,
        ),
        # One layer of two.
        (
            "    sparsity: {sparsity: 0.5, param_filter: '*layers.1.*'}\n",
            (
                Static(
                    sparsity=0.5,
                    param_filter=tuple(
                        f"blocks.1.{name}.weight" for name in ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
                    ),
                ),
            ),
            0.75,
        ),
    ],
)
def test_filters_of_their_names_find_our_matrices(
    tmp_path: Path, block: str, algorithms: tuple[Static, ...], density: float
) -> None:
    run = changed(tmp_path, (BLOCK, block)).configuration.run
    assert (run.sparsity, run.density) == (algorithms, pytest.approx(density, rel=1e-15))


def lines(ledger: Ledger) -> dict[str, str]:
    """What became of each key below `sparsity:`."""
    became = {entry.key: entry.became for entry in (*ledger.understood, *ledger.assumed)}
    became |= {entry.key: f"ignored: {entry.why}" for entry in ledger.ignored}
    start = "trainer.init.sparsity"
    return {key.removeprefix(start): text for key, text in became.items() if key.startswith(start)}


def test_each_key_of_an_algorithm_has_a_line_that_says_what_it_became(tmp_path: Path) -> None:
    assert lines(changed(tmp_path, ("      init_method: random\n", "      add_summaries: true\n")).ledger) == {
        ".algorithm": "how masks change",
        ".sparsity": "1 - density",
        ".init_method": "which weights live at first",
        ".add_summaries": "ignored: about what is written down while the run goes; wse-sim writes its own",
        ".drop_fraction.type": "how it changes over the run",
        ".drop_fraction.init": "at the start",
        ".drop_fraction.half_period": "steps from the start to the lowest",
        ".update.freq": "steps from one change of the masks to the next",
        ".update.stop": "step from which masks stay",
        ".param_filter": "attention.qkv, attention.out, mlp.up, mlp.down: 8 of 8 matrices",
    }


def test_of_entries_that_take_the_same_matrices_the_first_masks_them(tmp_path: Path) -> None:
    first = "{algorithm: set, sparsity: 0.5, param_filter: '*ffn*'}"
    second = "{sparsity: 0.75, add_summaries: true, param_filter: '*ffn*'}"
    block = f"    sparsity:\n      groups: [{first}, {second}]\n      seed: 3\n"
    found = changed(tmp_path, (BLOCK, block))
    (algorithm,) = found.configuration.run.sparsity
    assert (algorithm.sparsity, found.configuration.run.density) == (0.5, pytest.approx(2 / 3))
    taken = "ignored: entries before it take every matrix that it names"
    assert lines(found.ledger) == {
        ".groups[0].algorithm": "how masks change",
        ".groups[0].sparsity": "1 - density",
        ".groups[0].init_method": "which weights live at first",
        ".groups[0].drop_fraction": "share of the live weights that an update replaces",
        ".groups[0].update": "masks change at every step",
        ".groups[0].param_filter": "mlp.up, mlp.down: 4 of 8 matrices",
        ".groups[1].sparsity": taken,
        ".groups[1].param_filter": taken,
        ".groups[1].add_summaries": "ignored: about what is written down while the run goes; wse-sim writes its own",
        ".seed": "ignored: not a key of the published form that wse-sim knows",
    }


def test_masks_that_are_drawn_once_change_once(tmp_path: Path) -> None:
    block = "    sparsity: {algorithm: set, sparsity: 0.5, update: {steps: [0]}}\n"
    updates = changed(tmp_path, (BLOCK, block)).configuration.mask_updates
    assert updates is not None
    assert (updates.every_steps, updates.until) == (20, 1 / 20)


def test_gradual_pruning_ends_at_the_sparsity_of_its_last_update(tmp_path: Path) -> None:
    rising = "{type: linear, init: 0.2, slope: 0.05}"
    block = f"    sparsity: {{algorithm: gmp, sparsity: {rising}, update: {{freq: 4, stop: 13}}}}\n"
    said = changed(tmp_path, (BLOCK, block)).configuration
    assert isinstance(said.run.sparsity[0], GMP)
    assert said.run.density == pytest.approx(1 - (0.2 + 12 * 0.05), rel=1e-12)
    assert said.mask_updates is not None
    assert (said.mask_updates.algorithm, said.mask_updates.every_steps, said.mask_updates.until) == ("gmp", 4, 13 / 20)


def test_the_gate_of_a_gated_layer_is_not_what_the_published_filter_names(tmp_path: Path) -> None:
    (algorithm,) = changed(tmp_path, ("nonlinearity: gelu", "nonlinearity: swiglu")).configuration.run.sparsity
    assert isinstance(algorithm, RigL)
    assert algorithm.param_filter is not None
    assert "blocks.*.mlp.up.weight" in algorithm.param_filter
    assert "blocks.*.mlp.gate.weight" not in algorithm.param_filter


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("    sparsity: {sparsity: 0.5, param_filter: '*ffn*'}\n", "masks some matrices alone"),
        ("    sparsity: [{sparsity: 0.5, param_filter: '*ffn*'}, {sparsity: 0.7}]\n", "has 2 sparsity algorithms"),
    ],
)
def test_another_density_takes_an_algorithm_for_all_matrices(tmp_path: Path, block: str, why: str) -> None:
    said = changed(tmp_path, (BLOCK, block)).configuration
    with pytest.raises(SpecError, match=f"{why}: leave it out, or name an algorithm for all"):
        run_from_configuration(said, density=0.25)
    run = run_from_configuration(said, density=0.25, sparsity_algorithm="set")
    assert (run.density, run.mask_updates) == (0.25, MaskUpdates(algorithm="set"))


def test_masks_that_are_lifted_have_no_steps_between_updates() -> None:
    with pytest.raises(SpecError, match="mask_update_steps is 10, but static masks never change"):
        run_from_configuration(configuration(*PAIR), mask_update_steps=10)
    every = run_from_configuration(configuration("125m_rigl75"), mask_update_steps=10).mask_updates
    assert every == MaskUpdates(algorithm="rigl", every_steps=10)
