"""A schema admits what its type writes and nothing else, in the words of the fields' table or of the docstring."""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from training.run_record import Row
from wse_sim.calibration import FittedConstant
from wse_sim.report.json_schema import json_schema
from wse_sim.report.metrics import SimulationResult
from wse_sim.spec.sourced import Sourced
from wse_sim.validation import ValidationRow

st.register_type_strategy(
    Sourced,  # which takes no number beyond its own range, and none without a source
    st.builds(Sourced, value=st.floats(-1.0, 1.0), source=st.just("a table"), low=st.just(-1.0), high=st.none()),
)


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A part, with what it takes
    to say so.

    Parameters
    ----------
    one, two :
        An end,
        in metres.
    three : (n,)
        Another.

    Raises
    ------
    SpecError
        Never.
    """

    one: float
    two: float | None = None
    three: tuple[float, ...] = ()
    four: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A whole."""

    word: Literal["a", "b"] = "a"
    parts: list[Inner]
    by_name: dict[str, Inner]
    pair: tuple[int, float]


class Sparing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Leaves out what has its default."""

    there: int
    may_be_missing: bool = False


def is_valid(instance: object, schema: dict[str, Any]) -> bool:
    return Draft202012Validator(schema).is_valid(instance)


@pytest.mark.parametrize("cls", [Row, Sourced, ValidationRow, FittedConstant, Outer, Sparing])
@given(data=st.data())
def test_what_a_type_writes_is_valid_and_a_key_more_or_less_is_not(cls: type, data: st.DataObject) -> None:
    schema = json_schema(cls, is_input=False)
    written = json.loads(json.dumps(msgspec.to_builtins(data.draw(st.from_type(cls)))))
    assert is_valid(written, schema)
    assert not is_valid({**written, "unheard_of": 1}, schema)
    for key in schema["required"]:
        assert not is_valid({name: value for name, value in written.items() if name != key}, schema)


def test_what_we_write_is_whole_and_what_users_write_may_lack_what_has_a_default() -> None:
    assert json_schema(Inner, is_input=False)["required"] == ["one", "two", "three", "four"]
    assert json_schema(Inner, is_input=True)["required"] == ["one"]
    assert json_schema(Sparing, is_input=False)["required"] == ["there"]
    assert json_schema(Outer, is_input=False)["required"] == ["word", "parts", "by_name", "pair"]


def test_users_files_have_defaults_and_no_null() -> None:
    properties = json_schema(Inner, is_input=True)["properties"]
    assert properties["two"] == {"type": "number", "description": "An end, in metres.", "kind": "input"}
    assert properties["four"] == {"type": "integer", "default": 4, "kind": "input"}


def test_a_docstring_gives_its_first_line_and_its_parameters() -> None:
    schema = json_schema(Inner, is_input=False)
    assert schema["description"] == "A part, with what it takes to say so."
    described = {name: shape.get("description") for name, shape in schema["properties"].items()}
    assert described == {"one": "An end, in metres.", "two": "An end, in metres.", "three": "Another.", "four": None}


def test_an_object_whose_keys_have_entries_has_these_alone() -> None:
    schema = json_schema(SimulationResult, is_input=False)
    breakdown = schema["properties"]["breakdown"]
    assert breakdown["required"] == list(breakdown["properties"])
    assert breakdown["additionalProperties"] is False
    assert breakdown["properties"]["linear"]["type"] == "number"
    # Parts of a cost hang on the price basis, and no entry names the constants.
    assert schema["properties"]["cost_parts_usd"]["required"] == []
    assert schema["properties"]["cost_parts_usd"]["additionalProperties"] is False
    assert schema["properties"]["assumed_constants"]["additionalProperties"]


def test_a_typed_dictionary_without_a_docstring_has_not_that_of_dict() -> None:
    bare: Any = TypedDict("bare", {"number": int})
    assert json_schema(bare, is_input=False)["description"] == ""


def test_two_types_of_one_name_are_refused() -> None:
    def inner() -> type:
        class Inner(TypedDict):
            """Another of that name."""

            number: int

        return Inner

    both: Any = TypedDict("both", {"a": Inner, "b": inner()})
    with pytest.raises(AssertionError, match="one name"):
        json_schema(both, is_input=False)
