from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.telemetry.document import (
    apply_document,
    find_document,
    foreign_names,
    levels_of,
    read_document,
)


@pytest.fixture
def _loggers() -> Iterator[None]:
    """Puts the configuration of every logger back."""
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [each for each in known if isinstance(each, logging.Logger)]
    before = [
        (each, list(each.handlers), each.level, each.disabled, each.propagate) for each in loggers
    ]
    yield
    for logger, handlers, level, disabled, propagate in before:
        logger.handlers, logger.disabled, logger.propagate = handlers, disabled, propagate
        logger.setLevel(level)


def test_the_root_comes_before_the_folder_of_the_real_script(tmp_path: Path) -> None:
    root, real, link = tmp_path / "root", tmp_path / "real", tmp_path / "link"
    for folder in (root, real, link):
        folder.mkdir()
    (real / "score.py").touch()
    script = link / "score.py"
    script.symlink_to(real / "score.py")

    found = [find_document(str(root), str(script))]
    for folder in (link, real, root):
        (folder / "logging.json").write_text("{}")
        found.append(find_document(str(root), str(script)))

    beside, at_root = str(real / "logging.json"), str(root / "logging.json")
    assert found == ["", "", beside, at_root]


@pytest.mark.parametrize("text", ["", "{", "[]", "5"])
def test_a_document_is_an_object(text: str, tmp_path: Path) -> None:
    path = tmp_path / "logging.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"JSON object|line 1"):
        read_document(str(path))


def test_a_document_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "logging.json"
    path.write_text(json.dumps({"version": 1}), encoding="utf-8-sig")

    assert read_document(str(path)) == {"version": 1}


NAMES: list[tuple[Any, list[str]]] = [
    ({"version": 1, "root": {"handlers": ["h"]}}, []),
    ({"handlers": {"h": {"class": "logging.handlers.RotatingFileHandler"}}}, []),
    ({"handlers": {"h": {"stream": "ext://sys.stdout"}}}, []),
    ({"formatters": {"f": {"()": "azureml_inference_server_http.log_config.F"}}}, []),
    ({"formatters": {"f": {"()": "pythonjsonlogger.json.JsonFormatter"}}}, None),
    ({"filters": {"f": {"()": "theirs.Filter", "x": [1]}}}, ["theirs.Filter"]),
    ({"handlers": {"h": {"class": "theirs.H", "x": {"y": ["ext://mine.z"]}}}}, None),
    ({"handlers": {"h": {"class": "logging.StreamHandler", "stream": "cfg://x.y"}}}, []),
    ({"handlers": {"h": {"queue": {"()": "theirs.Queue"}, "listener": "theirs.L"}}}, None),
]


@pytest.mark.parametrize(("given", "names"), NAMES, ids=[str(i) for i in range(len(NAMES))])
def test_what_comes_from_elsewhere_is_found(given: Any, names: list[str] | None) -> None:
    found = list(foreign_names(given))

    assert bool(found) if names is None else found == names


def test_levels_alone_are_a_document() -> None:
    given = {
        "version": 1,
        "loggers": {"a": {"level": "DEBUG", "handlers": ["h"]}, "b": {"handlers": ["h"]}},
        "root": {"level": "ERROR"},
    }

    assert levels_of(given) == {
        "version": 1,
        "incremental": True,
        "loggers": {"a": {"level": "DEBUG"}},
    }


@pytest.mark.usefixtures("_loggers")
def test_streams_stand_in_for_those_of_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    handlers = {
        "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        "err": {"class": "logging.StreamHandler"},
    }
    logger = {"level": "INFO", "handlers": ["out", "err"], "propagate": False}

    apply_document(
        {"version": 1, "handlers": handlers, "loggers": {"streams": logger}}, stdout, stderr
    )
    logging.getLogger("streams").info("hello")

    assert (stdout.getvalue(), stderr.getvalue()) == ("hello\n", "hello\n")
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_loggers")
def test_the_servers_children_are_not_forgotten() -> None:
    ours, child = logging.getLogger("azmlinfsrv"), logging.getLogger("azmlinfsrv.print")
    other = logging.getLogger("other")

    apply_document({"version": 1})

    assert (ours.disabled, child.disabled, other.disabled) == (True, False, True)
