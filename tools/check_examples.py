"""Run `azmlinfsrv check` on every example, as users do on their scripts.

Exit status 0 if all are good; names on the command line choose some.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.examples.prepared import EXAMPLES, FOLDERS, prepared

# Most of it is waiting: for starts, for answers that are due.
AT_ONCE = 2


def check(name: str) -> tuple[bool, str]:
    """Whether the example is good, and what there is to print."""
    began_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(name, Path(folder) / "model") as needs,
    ):
        script = EXAMPLES / name / "score.py"
        command = [sys.executable, "-m", "azmlinfsrv", "check", "--quick", *needs.flags]
        done = subprocess.run(
            [*command, "--entry_script", str(script)],
            check=False,
            env={**os.environ, **needs.environ},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    is_good = done.returncode == 0
    word = "good" if is_good else "FINDINGS"
    line = f"{word:9} {name} ({time.monotonic() - began_s:.1f} s)"
    return is_good, line if is_good else f"{line}\n{done.stdout}"


def main() -> int:
    began_s = time.monotonic()
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for is_good, text in pool.map(check, sys.argv[1:] or FOLDERS):
            failed = failed or not is_good
            print(text, flush=True)
    print(f"{time.monotonic() - began_s:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
