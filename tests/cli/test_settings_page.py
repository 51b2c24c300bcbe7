from __future__ import annotations

from azmlinfsrv.settings import FIELDS
from tools.tables import SETTINGS


def test_settings_page_is_up_to_date() -> None:
    assert SETTINGS.updated() == SETTINGS.read(), "run `make docs`"


def test_settings_page_names_every_setting() -> None:
    page = SETTINGS.read()

    for field in FIELDS:
        for name in field.setting.env:
            assert f"`{name}`" in page
