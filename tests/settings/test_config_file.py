from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.settings import read_settings

NAMED = {"AZUREML_CONFIG_FILE": "named.json"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"hello", "line 1 column 1"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "is"),
    ],
)
def test_named_file_must_hold_an_object(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "named.json").write_bytes(content)

    with pytest.raises(SettingsError, match=words) as caught:
        read_settings({}, NAMED, tmp_path)

    [(name, message)] = caught.value.problems
    assert name == "AZUREML_CONFIG_FILE"
    assert message.startswith("Invalid config file!: ")
    assert str(tmp_path / "named.json") in message


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        read_settings({}, NAMED, tmp_path)
    with pytest.raises(SettingsError, match="is a folder"):
        read_settings({"config_file": "."}, {}, tmp_path)


def test_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "named.json").write_bytes(b'\xef\xbb\xbf{"WORKER_COUNT": 3}')

    assert read_settings({}, NAMED, tmp_path).settings.worker_count == 3


def test_flag_names_the_file_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")

    loaded = read_settings({"config_file": "mine.json"}, NAMED, tmp_path)

    assert loaded.settings.config_file == str((tmp_path / "mine.json").resolve())
    assert loaded.config_path == str(tmp_path / "mine.json")


def test_unknown_keys_are_one_warning(tmp_path: Path) -> None:
    content = {"SERVICE_NAME": "a", "service_name": "b", "Unknown": 1}
    (tmp_path / "named.json").write_text(json.dumps(content), encoding="utf-8")

    loaded = read_settings({}, NAMED, tmp_path)

    [(level, text)] = loaded.notices
    assert level == logging.WARNING
    assert text.endswith("\nExtra keys = ['Unknown', 'service_name']")
    assert loaded.settings.service_name == "a"


def test_config_json_of_the_root_comes_before_that_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "config.json").write_text('{"SERVICE_NAME": "root"}', encoding="utf-8")
    (tmp_path / "code" / "config.json").write_text('{"SERVICE_NAME": "script"}', encoding="utf-8")

    both = read_settings({"entry_script": "code/score.py"}, {}, tmp_path)
    (tmp_path / "config.json").write_text("", encoding="utf-8")
    one = read_settings({}, {"AZUREML_ENTRY_SCRIPT": "code/score.py"}, tmp_path)

    assert both.settings.service_name == "root"
    assert one.settings.service_name == "script"
    assert one.settings.config_file is None
    assert one.config_path == str(tmp_path / "code" / "config.json")


@pytest.mark.parametrize(
    "content", ["[1]", "not json", '{"hidden_size": 768}', '{"SERVICE_NAME": null}']
)
def test_foreign_config_json_is_left_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")

    loaded = read_settings({}, {}, tmp_path)

    [(level, text)] = loaded.notices
    assert level == logging.INFO
    assert str(tmp_path / "config.json") in text
    assert loaded.config_path == ""


def test_named_file_keeps_config_json_from_being_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"SERVICE_NAME": "found"}', encoding="utf-8")
    (tmp_path / "named.json").write_text("{}", encoding="utf-8")

    loaded = read_settings({}, NAMED, tmp_path)

    assert loaded.settings.service_name == "ML service"
