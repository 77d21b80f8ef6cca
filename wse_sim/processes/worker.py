"""Does tasks: reads them, calls one function with each, and writes replies, a JSON line each.

`python -m wse_sim.processes.worker package.module:function`; who starts it is `wse_sim.processes.pool`.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any, get_type_hints

import msgspec

from wse_sim.errors import SpecError
from wse_sim.processes.garbage import look_less_for_garbage
from wse_sim.processes.pool import Reply, function_named


def main() -> None:
    """Do what comes until nothing comes any more, or Ctrl-C."""
    look_less_for_garbage()
    replies = _private_stdout()
    try:
        work = function_named(sys.argv[1])
        tasks = msgspec.json.Decoder(next(iter(get_type_hints(work).values())))
        replies.write(b"ready\n")
        for line in sys.stdin.buffer:
            replies.write(msgspec.json.encode(_reply(work, tasks.decode(line))) + b"\n")
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it would only spoil the interpreter's own end


def _private_stdout() -> IO[bytes]:
    """The pipe to the caller; whatever else prints goes to stderr from now on."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _reply(work: Callable[[Any], Any], task: Any) -> Reply[Any]:
    try:
        return Reply(outcome=work(task))
    except SpecError as error:
        return Reply(error=str(error), is_input_error=True)
    except Exception:
        return Reply(error=traceback.format_exc())


if __name__ == "__main__":
    main()
