"""A configuration as the TOML that `wse_sim.spec.read_configuration` reads."""

from typing import Any

import msgspec

from wse_sim.spec.configuration import Configuration

_HEAD = "# A configuration of wse-sim: wse-sim train --config FILE.toml, wse-sim simulate --config FILE.toml.\n\n"


def configuration_text(configuration: Configuration) -> str:
    """The configuration as TOML, every default written out; what is None or empty is left out."""
    import tomli_w

    return _HEAD + tomli_w.dumps(_said(msgspec.to_builtins(configuration)), multiline_strings=False)


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _said(item) for key, item in value.items() if item is not None and item != [] and item != ()}
    return [_said(item) for item in value] if isinstance(value, list | tuple) else value
