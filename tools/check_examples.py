"""Run `azmlinfsrv check` on every example, as users do on their scripts.

Exit status 0 if all are good; names on the command line choose some.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.examples.prepared import EXAMPLES, FOLDERS, prepared


def check(name: str) -> bool:
    """Whether the example is good; what was found is printed."""
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
    if done.returncode:
        print(done.stdout)
    return done.returncode == 0


def main() -> int:
    began_s = time.monotonic()
    failed = []
    for name in sys.argv[1:] or FOLDERS:
        start_s = time.monotonic()
        is_good = check(name)
        failed += [] if is_good else [name]
        word = "good" if is_good else "FINDINGS"
        print(f"{word:9} {name} ({time.monotonic() - start_s:.1f} s)", flush=True)
    print(f"{time.monotonic() - began_s:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
