from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Annotated

import pytest
from msgspec import Struct

from azmlinfsrv.settings import FIELDS, Secret, Setting, configuration_error_text, declared_fields


def test_every_setting_has_help_and_a_way_in() -> None:
    for field in FIELDS:
        assert field.setting.help.endswith("."), field.name
        assert field.setting.flag or field.variables, field.name
        assert field.variables or field.name == "transport_protocol"


def test_no_two_settings_share_a_name() -> None:
    for names in (
        [name for field in FIELDS for name in field.variables],
        [field.setting.flag for field in FIELDS if field.setting.flag],
        [key for field in FIELDS for key in field.keys],
    ):
        assert len(names) == len(set(names))


def test_setting_without_default_is_refused() -> None:
    class Wrong(Struct):
        port: Annotated[int, Setting("Help.", "Group")]

    with pytest.raises(TypeError, match="port"):
        declared_fields(Wrong)


def test_error_text_has_the_shape_log_queries_match() -> None:
    assert configuration_error_text("NAME", "is wrong") == (
        "\n===============Configuration Error================="
        "\nNAME: is wrong (environment variable: NAME)"
        "\n==================================================="
    )


def test_secret_is_masked_until_revealed() -> None:
    secret = Secret("abc")

    assert "abc" not in f"{secret!r} {secret} {[secret]}"
    assert secret.reveal() == "abc"
    assert pickle.loads(pickle.dumps(secret)) == secret
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_importing_settings_reads_nothing_and_is_light() -> None:
    code = (
        "import os, sys\n"
        "before = dict(os.environ), list(sys.path)\n"
        "import azmlinfsrv.settings\n"
        "assert before == (dict(os.environ), list(sys.path))\n"
        "print([m for m in ('json', 'asyncio', 'click', 'rich', 'flask') if m in sys.modules])\n"
    )

    output = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert output.stdout == "[]\n"
