"""All cases of bad input, in groups."""

from tests.bad_input import (
    of_checkpoints,
    of_configurations,
    of_csv,
    of_documents,
    of_flags,
    of_hdf5,
    of_hugging_face,
    of_places,
    of_runs,
    of_tables,
    of_tokens,
    of_toml,
    of_yaml,
)

GROUPS = [
    of_flags.cases(),
    *of_toml.cases(),
    *of_configurations.cases(),
    of_yaml.cases(),
    *of_hugging_face.cases(),
    *of_tokens.cases(),
    of_hdf5.cases(),
    *of_documents.cases(),
    of_tables.cases(),
    of_csv.cases(),
    *of_checkpoints.cases(),
    *of_runs.cases(),
    *of_places.cases(),
]
CASES = [case for group in GROUPS for case in group.cases]
