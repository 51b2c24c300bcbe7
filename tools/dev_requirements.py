"""Print the `dev` dependency group of pyproject.toml, a requirement a line.

pip reads dependency groups from 25.1 on; a fresh machine often has an older one.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
group = re.search(r"^dev = (\[\n.*?^\])", text, re.MULTILINE | re.DOTALL)
if group is None:
    raise SystemExit("pyproject.toml has no [dependency-groups] dev list")
print("\n".join(ast.literal_eval(group.group(1))))
