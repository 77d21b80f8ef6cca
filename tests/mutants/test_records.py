"""What the formulas take and give cannot be changed after the fact, and is given by name."""

import importlib
import inspect
from dataclasses import is_dataclass
from pathlib import Path

import msgspec
import pytest

from tests.mutants.rooms import ROOMS

FILES = [file for files in ROOMS.values() for file in files]


@pytest.mark.parametrize("file", FILES)
def test_records_are_frozen_and_made_by_keyword(file: str) -> None:
    module = importlib.import_module(".".join(Path(file).with_suffix("").parts))
    own = [cls for cls in vars(module).values() if getattr(cls, "__module__", "") == module.__name__]
    for cls in filter(is_dataclass, own):
        assert cls.__dataclass_params__.frozen
        assert "__slots__" in vars(cls)
    structs = [cls for cls in own if isinstance(cls, type) and issubclass(cls, msgspec.Struct)]
    for struct in structs:
        assert struct.__struct_config__.frozen
        assert struct.__struct_config__.forbid_unknown_fields
    for record in (*filter(is_dataclass, own), *structs):
        given = inspect.signature(record).parameters.values()
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in given)
