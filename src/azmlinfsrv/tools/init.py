"""A folder to start from: a script, a request for it, a test (``azmlinfsrv init``).

The files are those of ``azmlinfsrv/templates``, as they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct


class Template(Struct, frozen=True):
    """What is special about one template.

    Attributes:
        about: One line for the help.
        sample: The request it brings along, relative to its folder.
        is_trained: ``train.py`` writes the folder ``model`` first.
        is_raw: The sample is not JSON.
    """

    about: str
    sample: str
    is_trained: bool = False
    is_raw: bool = False


TEMPLATES: Final[Mapping[str, Template]] = {
    "text": Template("JSON in, JSON out", "samples/marathon.json"),
    "sklearn": Template("a scikit-learn model", "samples/two_flowers.json", is_trained=True),
    "torch": Template("a PyTorch network", "samples/two_sums.json", is_trained=True),
    "raw": Template("the request as it came", "samples/fox.txt", is_raw=True),
    "batch": Template(
        "requests that wait are computed together", "samples/one_flower.json", is_trained=True
    ),
    "stream": Template("an answer piece by piece", "samples/prompt.json"),
}


_TEMPLATES = Path(__file__).parents[1] / "templates"


class FilesInTheWay(Exception):
    """Files of the template are there already.

    Args:
        names: Which, relative to the folder.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def write_template(name: str, folder: Path) -> list[str]:
    """Write the files of a template; their names, relative to *folder*.

    Raises:
        FilesInTheWay: some are there already; nothing was written.
        OSError: the folder cannot be written.
    """
    files = dict(_files(_TEMPLATES / name))
    # `lexists`: a link that leads nowhere would be written through.
    there = [each for each in files if (folder / each).exists() or (folder / each).is_symlink()]
    if there:
        raise FilesInTheWay(there)
    for each, content in files.items():
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return list(files)


def next_commands(name: str, folder: Path) -> list[tuple[str, str]]:
    """What to type next, each with what it does."""
    template = TEMPLATES[name]
    model = " --model_dir model" if template.is_trained else ""
    raw = " --raw" if template.is_raw else ""
    commands = [] if folder == Path() else [(f"cd {shlex.quote(str(folder))}", "")]
    if template.is_trained:
        commands.append(("pip install -r requirements.txt", "what it needs"))
        commands.append(("python train.py", "write the model"))
    script = f"--entry_script score.py{model}"
    return [
        *commands,
        (f"azmlinfsrv invoke {script}{raw} --data @{template.sample}", "one answer"),
        (f"azmlinfsrv {script} --dev", "serve it, with reports on errors"),
        ("pytest", "run its test"),
    ]


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
