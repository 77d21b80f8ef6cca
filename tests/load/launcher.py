"""Runs a command and prints what it took: `python -I tests/load/launcher.py COMMAND...`.

Linux counts the memory of whoever starts a process as that process's own peak, so whoever starts it must be small.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    began_s = time.monotonic()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    took = {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": time.monotonic() - began_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * unit_bytes,
        "said": said,
    }
    print(json.dumps(took))


main()
