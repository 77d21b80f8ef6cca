"""A parameterization laid open: each tensor once, blocks folded, numbers those of the table."""

from models.explanation import explanation, rule_texts, tensor_rows
from models.gpt import meta_model
from models.parametrization import BASES, Parametrization, effective_table
from models.roles import ROLES
from models.sparse import hidden_densities
from wse_sim.spec.load import load_model

SHAPE = load_model("590m").shape
RULES = Parametrization(name="smupar", base=BASES["smupar-paper"])


def test_blocks_that_agree_are_one_row() -> None:
    rows = tensor_rows(SHAPE, RULES, density=0.25, weight_decay=0.1, eps=1e-8)
    assert sum(row.n_tensors for row in rows) == len(list(meta_model(SHAPE).parameters()))
    assert [row.name for row in rows if row.n_tensors == 1] == [
        "token.weight",
        "position.weight",
        "norm_out.weight",
        "norm_out.bias",
    ]
    assert {row.name for row in rows if row.role == "hidden_in"} == {
        "blocks.0..17.attention.qkv.weight",
        "blocks.0..17.mlp.up.weight",
    }


def test_a_row_has_the_numbers_of_its_tensors() -> None:
    model = meta_model(SHAPE)
    table = {r.name: r for r in effective_table(model, SHAPE, RULES, hidden_densities(model, 0.25), 0.1, 1e-8)}
    for row in tensor_rows(SHAPE, RULES, density=0.25, weight_decay=0.1, eps=1e-8):
        tensor = table[row.name.replace("0..17", "5")]
        assert (row.lr, row.init_std, row.eps) == (tensor.lr, tensor.init_std, tensor.eps)
        assert row.lr_wd == tensor.lr * tensor.weight_decay


def test_every_role_has_its_rule() -> None:
    assert [text.role for text in rule_texts(RULES)] == list(ROLES)


def test_constant_lr_wd_shows_as_the_inverse_of_the_learning_rate() -> None:
    rules = Parametrization(name="smupar", base=BASES["smupar-paper"], weight_decay_scaling="constant_lr_wd")
    by_role = {text.role: text.weight_decay for text in rule_texts(rules)}
    assert (by_role["hidden_in"], by_role["embedding"], by_role["norm"]) == ("λ m_d m_rho", "λ", "0")


def test_without_a_model_there_are_rules_and_no_numbers() -> None:
    content = explanation(RULES, None, density=1.0, algorithm="static", weight_decay=0.1, eps=1e-8)
    assert content.tensors == []
    assert content.factors is None
    assert all(multiplier.value is None for multiplier in content.multipliers)


def test_a_dense_model_has_no_caveat() -> None:
    for density, expected in ((1.0, 0), (0.5, 1)):
        content = explanation(RULES, SHAPE, density=density, algorithm="rigl", weight_decay=0.1, eps=1e-8)
        assert len(content.caveats) == expected
