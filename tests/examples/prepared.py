"""What an example needs from outside before it can be served: a trained model, a service."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(script.parent.name for script in EXAMPLES.glob("*/score.py"))


@dataclass(frozen=True)
class Needs:
    """What an example needs from outside, ready."""

    flags: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


def prepared(name: str, folder: Path) -> AbstractContextManager[Needs]:
    """All that the example *name* needs; *folder* is for what is made, once if it stays."""
    return _PREPARED.get(name, _nothing)(EXAMPLES / name, folder)


@contextmanager
def _nothing(_example: Path, _folder: Path) -> Iterator[Needs]:
    yield Needs()


@contextmanager
def _a_trained_model(example: Path, folder: Path) -> Iterator[Needs]:
    if not folder.exists():
        _module(example / "train.py").train(folder)
    yield Needs(flags=("--model_dir", str(folder)))


@contextmanager
def _the_price_service(example: Path, _folder: Path) -> Iterator[Needs]:
    prices = _module(example / "service.py").Prices
    with ThreadingHTTPServer(("127.0.0.1", 0), prices) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield Needs(environ={"PRICE_SERVICE": f"http://127.0.0.1:{service.server_port}"})
        finally:
            service.shutdown()
            thread.join()


_PREPARED: dict[str, Callable[[Path, Path], AbstractContextManager[Needs]]] = {
    "wine": _a_trained_model,
    "two_models": _a_trained_model,
    "async_client": _the_price_service,
}


def _module(path: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
