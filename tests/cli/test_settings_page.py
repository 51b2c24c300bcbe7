from __future__ import annotations

from azmlinfsrv.settings import FIELDS
from tools.settings_table import PAGE, page_with_table


def test_settings_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page_with_table(page) == page, "run `make docs`"


def test_settings_page_names_every_setting() -> None:
    page = PAGE.read_text(encoding="utf-8")

    for field in FIELDS:
        for name in field.setting.env:
            assert f"`{name}`" in page
