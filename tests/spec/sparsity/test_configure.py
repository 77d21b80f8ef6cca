"""What users of `cerebras_pytorch.sparse` write is understood, and what is wrong in it is named."""

from typing import Any

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.sparsity import GMP, SET, SPDF, RigL, Static, Update, configure, group, make_algorithm
from wse_sim.spec.sparsity.hyper import Cosine

SHIPPED = {  # the sparsity block of the sparse GPT-3 125M recipes in the Cerebras Model Zoo
    "algorithm": "rigl",
    "sparsity": 0.75,
    "init_method": "random",
    "drop_fraction": {"type": "cosine", "init": 0.3, "half_period": 3584},
    "update": {"freq": 100, "stop": 3584},
    "param_filter": ["*attention*", "*mlp*"],
}


def test_a_number_is_static_sparsity() -> None:
    assert configure(0.75) == (Static(sparsity=0.75),)
    assert configure({"sparsity": 0.75}) == (Static(sparsity=0.75),)


def test_the_shipped_block_is_read_as_it_stands() -> None:
    assert configure(SHIPPED) == (
        RigL(
            sparsity=0.75,
            drop_fraction=Cosine(init=0.3, half_period=3584),
            update=Update(freq=100, stop=3584),
            param_filter=("*attention*", "*mlp*"),
        ),
    )


def test_schedule_is_another_name_of_sparsity_and_a_list_cycles() -> None:
    assert configure({"algorithm": "set", "schedule": [0.5, 0.75]}) == (SET(sparsity=(0.5, 0.75)),)


@pytest.mark.parametrize("wrapper", ["groups", "params"])
def test_a_list_is_a_group_and_wrappers_are_flattened(wrapper: str) -> None:
    tables = [{"param_filter": "*mlp*", "sparsity": 0.5}, {"algorithm": "rigl", "param_filter": "*attention*"}]
    expected = group({"*mlp*": Static(sparsity=0.5), "*attention*": RigL()})
    assert configure(tables) == configure({wrapper: tables}) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": "rigle"}, "did you mean 'rigl'"),
        ({"algorithm": "rigl", "drop_fractoin": 0.3}, "did you mean 'drop_fraction'"),
        ({"algorithm": "rigl", "update": {"frequ": 10}}, "did you mean 'freq'"),
        ({"sparsity": 0.5, "drop_fraction": 0.3}, "unknown key 'drop_fraction'"),
        ({"sparsity": 0.5, "schedule": 0.4}, "give one of the two"),
        ({"type": "rigl"}, "algorithm = 'rigl'"),
        ({"algorithm": "gmp", "sparsity": 0.5}, 'algorithm = "static"'),
        ({"algorithm": "gmp", "sparsity": [0.5, 0.5]}, 'algorithm = "static"'),
        ({"algorithm": "static", "sparsity": {"type": "linear", "init": 0.1, "slope": 0.1}}, "sparsity"),
        ({"algorithm": "spdf"}, "lift_at"),
        ({"algorithm": "rigl", "balance_in_groups": 2, "balance_out_groups": 2}, "not both"),
        ({"init_method": "balanced"}, "init_method"),
        ({"sparsity": 1.5}, "sparsity is 1.5, it must be at least 0 and below 1"),
        ({"sparsity": -0.5}, "sparsity is -0.5"),
        ({"algorithm": "set", "drop_fraction": 1.5}, "drop_fraction is 1.5"),
        ({"algorithm": "rigl", "sparsity": 1}, "sparsity is 1"),
        ({"groups": [{"sparsity": 0.5}], "sparsity": 0.4}, "sparsity stands beside groups"),
        ("many", "sparsity is 'many': it must be a number, a table or a list of tables"),
        ([["many"]], "sparsity is 'many'"),
        (True, "sparsity is True"),
    ],
)
def test_what_is_wrong_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        configure(wrong)


def test_flags_make_the_published_recipe() -> None:
    update = Update(freq=100, stop=0.75)
    assert make_algorithm("rigl") == RigL(drop_fraction=Cosine(init=0.3, half_period=0.75), update=update)
    assert make_algorithm("gmp", distribution="erk", init_method=None) == GMP(distribution="erk", update=update)
    assert make_algorithm("set", drop_fraction=0.2, update_freq=10, update_stop=50) == SET(
        drop_fraction=Cosine(init=0.2, half_period=50), update=Update(freq=10, stop=50)
    )
    assert make_algorithm("static", init_method="topk") == Static(init_method="topk")
    assert make_algorithm("spdf", lift_at=0.9) == SPDF(lift_at=0.9)


@pytest.mark.parametrize(
    ("name", "flags"),
    [("static", {"drop_fraction": 0.3}), ("gmp", {"drop_fraction": 0.3}), ("spdf", {"lift_at": 0.5, "update_freq": 10}),
     ("static", {"lift_at": 0.5}), ("rigl", {"init_method": "best"}), ("sett", {})],
)  # fmt: skip
def test_a_flag_that_the_algorithm_does_not_take_is_refused(name: str, flags: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        make_algorithm(name, **flags)  # type: ignore[arg-type]
