"""What is said of things that cannot be forked, and what is made anew in a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from azmlinfsrv.worker.preload import hazards, reseed


def test_an_ordinary_script_has_nothing_to_be_warned_of() -> None:
    others = [t for t in threading.enumerate() if t is not threading.main_thread()]

    found = hazards(is_async=False)

    assert len(found) == bool(others)


def test_threads_are_named() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="model refresher")
    thread.start()

    try:
        found = hazards(is_async=False)
    finally:
        stop.set()
        thread.join()

    assert "model refresher" in found[0]


def test_an_asynchronous_init_is_warned_of() -> None:
    assert any("init() is asynchronous" in text for text in hazards(is_async=True))


@pytest.mark.parametrize("is_initialized", [True, False])
def test_cuda_is_warned_of_only_if_it_is_in_use(
    monkeypatch: pytest.MonkeyPatch, is_initialized: bool
) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(is_initialized=lambda: is_initialized)  # type: ignore[attr-defined]  # as torch has it
    monkeypatch.setitem(sys.modules, "torch", torch)

    found = hazards(is_async=False)

    assert any("CUDA" in text for text in found) is is_initialized


def test_nothing_heavy_is_imported_to_look_for_it() -> None:
    before = set(sys.modules)

    hazards(is_async=True)

    assert set(sys.modules) - before == set()


def test_random_numbers_of_a_fork_are_its_own() -> None:
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)

    reseed()

    assert np.random.rand() != expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_python_reseeds_its_own_generator() -> None:
    # Why `random` is not in our table; run in a fresh process, since pytest has threads.
    program = (
        "import os, random; random.seed(0); r, w = os.pipe()\n"
        "if not os.fork(): os.write(w, repr(random.random()).encode()); os._exit(0)\n"
        "print(float(os.read(r, 99)) != random.random())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout == "True\n", done.stderr
