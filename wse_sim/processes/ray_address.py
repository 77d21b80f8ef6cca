"""Which Ray is joined. Ray itself waits for minutes where nothing answers, so that is asked before it is.

Only `ray start` leaves an address behind (in `ray_current_cluster`, in the folder that RAY_TMPDIR names), also when it
has died since; a Ray that a program has started for itself is on no record, and no other program joins it.
"""

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from wse_sim.errors import SpecError

_LONGEST_S = 5.0  # that a machine may take to answer
_OURS = "local"  # Ray's word for one that is started for this program alone

_log = logging.getLogger(__name__)


def address_to_join(ray: Any) -> str | None:
    """What `ray.init` is to be given: None to join the cluster that is named, or else the word for a Ray of our own.

    Raises
    ------
    SpecError
        When nothing answers where RAY_ADDRESS leads to.
    """
    asked = os.environ.get("RAY_ADDRESS", "")
    named = (ray._private.utils.read_ray_address() or "") if asked in ("", "auto") else asked
    if not named:
        return asked or _OURS
    if _answers(named):
        return None
    if asked:
        raise SpecError(
            f"no Ray answers at {named}, where RAY_ADDRESS={asked} leads to: start one there with `ray start --head`, "
            "or unset RAY_ADDRESS for one on this machine"
        )
    _log.warning("no Ray answers any more at %s, where `ray start` had one: another is started for now", named)
    return _OURS


def _answers(address: str) -> bool:
    """Whether somebody listens there; an address of another form is left for Ray to judge."""
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return True
    if parts.scheme != "ray" or host is None or port is None:
        return True
    try:
        with socket.create_connection((host, port), timeout=_LONGEST_S):
            return True
    except OSError:
        return False
