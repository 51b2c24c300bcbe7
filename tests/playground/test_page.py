"""The playground, as somebody in front of a browser sees it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.harness import Server, serving
from tests.playground.conftest import MARATHON, SCRIPT, Open

EVERYTHING = """
import time
from pathlib import Path
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)

def init():
    pass

def stream():
    yield b"one\\n"
    while not Path(__file__).with_name("go").exists():
        time.sleep(0.01)
    yield b"two\\n"

@rawhttp
def run(request):
    do = request.args.get("do")
    if do == "image":
        return AMLResponse(PIXEL, 200, {"Content-Type": "image/png"})
    if do == "markup":
        text = "<img src=x onerror=alert(1)><script>alert(1)</script>"
        return AMLResponse(text, 200, {"Content-Type": "text/html"})
    if do == "bytes":
        return AMLResponse(bytes(range(256)), 200, {"Content-Type": "application/octet-stream"})
    if do == "stream":
        return AMLResponse(stream(), 200, {"Content-Type": "text/plain"})
    if do == "away":
        return AMLResponse("", 302, {"Location": "/"})
    return AMLResponse(
        {
            "method": request.method,
            "body": request.get_data(as_text=True),
            "type": request.headers.get("Content-Type"),
            "note": request.headers.get("X-Note"),
            "query": request.query_string.decode(),
        },
        200,
        json_str=True,
    )
"""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("raw")
    (root / "score.py").write_text(EVERYTHING, encoding="utf-8")
    with serving(root / "score.py", "--dev", root=root) as started:
        yield started


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Body", exact=True)


def send(page: Page, body: str | None = None) -> None:
    if body is not None:
        editor(page).fill(body)
    page.get_by_role("button", name="Send").click()


def panel(page: Page, name: str) -> str:
    expect(page.locator("#send")).to_contain_text("Send")
    expect(page.locator("#code")).not_to_be_empty()
    page.locator("#answer").get_by_role("tab", name=name).click()
    return page.locator("#answer").get_by_role("tabpanel", name=name).inner_text()


# --- sending ------------------------------------------------------------------------------


def test_it_opens_with_a_sample_in_the_editor(server: Server, open_page: Open) -> None:
    page = open_page(server)

    expect(page).to_have_title("score.py · Playground")
    expect(editor(page)).to_have_value('{"value": 40, "unit": "furlong"}')
    expect(page.locator("#check")).to_have_text("Well-formed JSON.")


def test_an_edited_request_is_sent_and_its_answer_shown(server: Server, open_page: Open) -> None:
    page = open_page(server)

    send(page, '{"value": 2, "unit": "league"}')

    expect(page.locator("#code")).to_have_text("200 OK")
    expect(page.locator("#facts")).to_contain_text("application/json")
    assert panel(page, "Body") == '{"km": 9.66}'
    assert "x-ms-request-id" in panel(page, "Headers")
    expect(page.locator("#said")).to_contain_text("200 OK")


def test_the_time_is_shown_phase_by_phase(server: Server, open_page: Open) -> None:
    page = open_page(server)

    send(page, MARATHON)

    terms = page.locator("#legend dt")
    expect(terms).to_have_text(["queue", "parse", "run", "encode", "server"])
    bar = page.get_by_role("img", name=re.compile(r"run [\d.]+ ms"))
    expect(bar).to_be_visible()
    expect(bar.locator("span")).to_have_count(4)
    widths = bar.evaluate("bar => [...bar.children].map(part => part.offsetWidth)")
    assert sum(widths) == pytest.approx(bar.evaluate("bar => bar.offsetWidth"), abs=8)
    assert re.fullmatch(r"[\d.]+ of [\d.]+ ms", page.locator("#legend .all dd").inner_text())


def test_a_failure_shows_the_line_the_hint_and_the_traceback(
    server: Server, open_page: Open
) -> None:
    page = open_page(server)

    send(page, '{"value": 1}')

    report = page.get_by_role("tabpanel", name="Report")
    expect(report).to_be_visible()
    expect(page.locator("#code")).to_have_text("500 Internal Server Error")
    expect(report.locator(".error")).to_have_text("KeyError: 'unit'")
    failing = report.locator("tr.failing")
    expect(failing).to_have_count(1)
    expect(failing.locator("td")).to_have_text('    factor = factors[order["unit"]]')
    expect(failing.locator("th")).to_contain_text(
        str(SCRIPT.splitlines().index('    factor = factors[order["unit"]]') + 1)
    )
    expect(report.locator(".hint")).to_contain_text("'unit'")
    report.locator("summary").click()
    expect(report.locator("details pre")).to_contain_text("KeyError: 'unit'")
    expect(page.locator("#said")).to_contain_text("KeyError")


def test_without_development_mode_the_place_is_all_there_is(
    tmp_path: Path, open_page: Open
) -> None:
    (tmp_path / "score.py").write_text(SCRIPT, encoding="utf-8")
    with serving(tmp_path / "score.py", "--playground", root=tmp_path) as server:
        page = open_page(server)

        send(page, '{"value": 1}')

        report = page.get_by_role("tabpanel", name="Report")
        expect(report).to_contain_text("At score.py:12 in run.")
        expect(report).to_contain_text("With --dev")
        expect(report.locator("table")).to_have_count(0)
        expect(page.get_by_role("button", name="Save as sample")).to_be_hidden()


def test_headers_and_query_arrive(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?a=1&b=%20")
    page.get_by_role("tab", name="Headers").first.click()
    page.get_by_label("Headers, one a line").fill("X-Note: a: b\n")
    page.get_by_role("tab", name="Body").first.click()
    page.get_by_label("Content type").fill("text/plain")

    send(page, "plain ünïcode")

    expect(page.locator("#code")).to_have_text("200 OK")
    answer = json.loads(panel(page, "Body"))
    assert answer == {
        "method": "POST",
        "body": "plain ünïcode",
        "type": "text/plain",
        "note": "a: b",
        "query": "a=1&b=%20",
    }


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ("Cookie: a=b\nX-Note: c", "Browsers do not send Cookie"),
        ("no colon", "no header: no colon"),
        ("X-Note: fine", "One a line"),
    ],
)
def test_headers_that_do_not_arrive_are_named(
    server: Server, open_page: Open, headers: str, said: str
) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="Headers").first.click()

    page.get_by_label("Headers, one a line").fill(headers)

    expect(page.locator("#headers-note")).to_contain_text(said)


def test_a_get_is_sent_without_a_body(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Method").select_option("GET")

    expect(editor(page)).to_be_disabled()
    expect(page.locator("#check")).to_contain_text("without a body")
    send(page)

    assert json.loads(panel(page, "Body"))["method"] == "GET"


@pytest.mark.parametrize(
    ("target", "headers", "said"),
    [
        ("score", "", "must begin with one slash"),
        ("//192.0.2.1/score", "", "must begin with one slash"),
        ("/score", "no colon", "no header"),
        ("/score?do=away", "", "redirect"),
    ],
)
def test_what_cannot_be_sent_is_explained(
    raw: Server, open_page: Open, target: str, headers: str, said: str
) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill(target)
    page.get_by_role("tab", name="Headers").first.click()
    page.get_by_label("Headers, one a line").fill(headers)

    page.get_by_role("button", name="Send").click()

    expect(page.locator("#nothing")).to_contain_text(said)


# --- answers ------------------------------------------------------------------------------


def test_a_stream_is_shown_as_it_arrives(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?do=stream")

    send(page)

    content = page.locator("#panel-content")
    expect(content).to_have_text("one")
    expect(page.locator("#facts")).to_contain_text("still coming")
    (raw.root / "go").touch()
    expect(content).to_contain_text("two")
    expect(page.locator("#facts")).not_to_contain_text("still coming")


def test_a_stream_can_be_stopped(raw: Server, open_page: Open) -> None:
    (raw.root / "go").unlink(missing_ok=True)
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?do=stream")
    send(page)
    expect(page.locator("#panel-content")).to_have_text("one")

    page.keyboard.press("Escape")

    expect(page.locator("#facts")).to_contain_text("cut off")
    (raw.root / "go").touch()


def test_a_picture_is_shown_as_one(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?do=image")

    send(page)

    picture = page.get_by_role("img", name="The answer, image/png")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


def test_markup_in_an_answer_stays_text(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?do=markup")

    send(page)

    expect(page.locator("#panel-content pre")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#panel-content img")).to_have_count(0)


def test_bytes_can_be_downloaded(raw: Server, open_page: Open) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?do=bytes")
    send(page)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()

    assert Path(download.value.path()).read_bytes() == bytes(range(256))


# --- the editor ---------------------------------------------------------------------------


MISTAKES = [
    ('{"a": 1,}', "Line 1, column 9: a comma before }."),
    ('{"a": 1\n "b": 2}', "Line 2, column 2: expected a comma or }."),
    ("{'a': 1}", "Line 1, column 2: strings need double quotes."),
    ('{"a": True}', "Line 1, column 7: True is true in JSON."),
    ('{"a": None}', "Line 1, column 7: None is null in JSON."),
    ("[1, 2", "Line 1, column 6: the text ends; expected a comma or ]."),
    ('{"a": 01}', "Line 1, column 8: expected a comma or }."),
    ('"tab\there"', "Line 1, column 1: this string is not closed, or holds what must be"),
    ("[1] 2", "Line 1, column 5: there is more after the value."),
    ("[" * 5000, "nested too deeply"),
]


def test_json_is_checked_while_it_is_typed(server: Server, open_page: Open) -> None:
    page = open_page(server)

    for text, said in MISTAKES:
        editor(page).fill(text)

        expect(page.locator("#check")).to_contain_text(said)
        expect(editor(page)).to_have_attribute("aria-invalid", "true")


def test_go_there_puts_the_cursor_at_the_mistake(server: Server, open_page: Open) -> None:
    page = open_page(server)
    editor(page).fill('{"a": True}')

    page.get_by_role("button", name="Go there").click()

    body = editor(page)
    expect(body).to_be_focused()
    assert body.evaluate("area => area.selectionStart") == 6


def test_formatting_changes_no_value(server: Server, open_page: Open) -> None:
    text = '{"big":12345678901234567890123,"one":1.0,"small":1e-400,"text":"\\u00fc \\"}","no":[],"deep":[[1,2],{"a":{}}],"nan":NaN}'  # noqa: E501
    page = open_page(server)
    editor(page).fill(text)

    page.get_by_role("button", name="Format").click()

    formatted = editor(page).input_value()
    assert formatted.count("\n") > 5
    assert re.sub(r"\s", "", formatted) == re.sub(r"\s", "", text)


def test_a_file_can_be_the_body(raw: Server, open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    page = open_page(raw)

    page.get_by_label("File to send as the body").set_input_files(tmp_path / "table.csv")
    expect(page.locator("#file-name")).to_have_text("table.csv, 8 bytes")
    send(page)

    expect(page.locator("#code")).to_have_text("200 OK")
    answer = json.loads(panel(page, "Body"))
    assert (answer["body"], answer["type"]) == ("a,b\n1,2\n", "text/csv")


# --- the request as code ------------------------------------------------------------------

HOSTILE = """it's "quoted" $HOME `id` $(id) \\n \\ %s ü 漢 🙂 !history
second line\t'''triple''' end'"""


@pytest.mark.parametrize("name", ["curl", "Python"])
@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_the_request_as_code_sends_the_same(
    raw: Server, open_page: Open, name: str, content_type: str
) -> None:
    page = open_page(raw)
    page.get_by_label("Path and query").fill("/score?a[]={1}&b='x'")
    page.get_by_role("tab", name="Headers").first.click()
    page.get_by_label("Headers, one a line").fill('X-Note: it\'s $HOME "here"\n')
    page.get_by_role("tab", name="Body").first.click()
    page.get_by_label("Content type").fill(content_type)
    send(page, HOSTILE)
    expect(page.locator("#code")).to_have_text("200 OK")
    from_browser = json.loads(panel(page, "Body"))

    page.get_by_role("tab", name=name).click()
    code = page.locator(f"#{name.lower()}").text_content() or ""

    interpreter = ["bash", "-c"] if name == "curl" else [sys.executable, "-c"]
    done = subprocess.run([*interpreter, code], capture_output=True, text=True, check=True)
    printed = done.stdout if name == "curl" else done.stdout.removeprefix("200 OK\n")
    assert from_browser["body"] == HOSTILE
    query = from_browser.pop("query")
    from_code = json.loads(printed)
    assert _unquoted(from_code.pop("query")) == _unquoted(query)
    assert from_code == from_browser


def _unquoted(query: str) -> str:
    return query.replace("%27", "'").replace("%22", '"')


# --- samples and recent requests ----------------------------------------------------------


def test_samples_fill_the_editor(server: Server, open_page: Open) -> None:
    page = open_page(server)

    page.get_by_role("button", name="marathon").click()
    send(page)

    expect(editor(page)).to_have_value(MARATHON)
    assert panel(page, "Body") == '{"km": 42.16}'


def test_what_changes_beside_the_script_is_there_on_coming_back(
    server: Server, folder: Path, open_page: Open
) -> None:
    page = open_page(server)
    page.get_by_role("button", name="marathon").click()
    (folder / "samples" / "new.json").write_text("[1]", encoding="utf-8")

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.get_by_role("button", name="new")).to_be_visible()
    expect(page.get_by_role("button", name="marathon")).to_have_attribute("aria-current", "true")
    expect(editor(page)).to_have_value(MARATHON)
    (folder / "samples" / "new.json").unlink()


def test_what_was_sent_is_there_after_a_reload(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="Headers").first.click()
    page.get_by_label("Headers, one a line").fill("X-Note: kept\nX-Token: s3cret\n")
    page.get_by_role("tab", name="Body").first.click()
    send(page, '{"value": 3, "unit": "km"}')
    expect(page.locator("#code")).to_have_text("200 OK")

    page.reload()

    expect(editor(page)).to_have_value('{"value": 3, "unit": "km"}')
    expect(page.locator("#recent .pick")).to_contain_text('{"value": 3, "unit": "km"}')
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "X-Note" in kept
    assert "s3cret" not in kept
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate("localStorage.length") == 0


def test_an_exchange_is_saved_as_a_sample(server: Server, folder: Path, open_page: Open) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="Headers").first.click()
    page.get_by_label("Headers, one a line").fill("X-Note: kept\nAuthorization: Bearer s3cret\n")
    page.get_by_role("tab", name="Body").first.click()
    send(page, MARATHON)
    expect(page.locator("#code")).to_have_text("200 OK")

    page.get_by_role("button", name="Save as sample").click()
    page.get_by_label("Name").fill("../New York/2026")
    page.keyboard.press("Enter")

    expect(page.locator("#said")).to_have_text("Saved as samples/New-York-2026.json.")
    expect(page.get_by_role("button", name="New-York-2026")).to_be_visible()
    written = json.loads((folder / "samples" / "New-York-2026.json").read_text(encoding="utf-8"))
    assert written == {
        "request": {
            "headers": {"Content-Type": "application/json", "X-Note": "kept"},
            "body": {"value": 26.2, "unit": "mile"},
        },
        "response": {
            "status": 200,
            "headers": {"Content-Type": "application/json"},
            "body": {"km": 42.16},
        },
    }
    (folder / "samples" / "New-York-2026.json").unlink()


def test_a_sample_is_not_overwritten_unasked(server: Server, folder: Path, open_page: Open) -> None:
    path = folder / "samples" / "twice.json"
    path.write_text("[1]", encoding="utf-8")
    page = open_page(server)
    send(page, MARATHON)
    expect(page.locator("#code")).to_have_text("200 OK")
    page.get_by_role("button", name="Save as sample").click()
    page.get_by_label("Name").fill("twice")

    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#save-note")).to_have_text("samples/twice.json exists.")
    assert path.read_text(encoding="utf-8") == "[1]"
    expect(page.get_by_role("button", name="Replace it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Saved as samples/twice.json.")
    assert json.loads(path.read_text(encoding="utf-8"))["response"]["body"] == {"km": 42.16}
    path.unlink()


def test_a_failure_is_saved_without_its_report(
    server: Server, folder: Path, open_page: Open
) -> None:
    page = open_page(server)
    send(page, '{"value": 1}')
    expect(page.get_by_role("tabpanel", name="Report")).to_be_visible()

    page.get_by_role("button", name="Save as sample").click()
    page.get_by_label("Name").fill("fails")
    page.keyboard.press("Enter")

    expect(page.locator("#said")).to_have_text("Saved as samples/fails.json.")
    path = folder / "samples" / "fails.json"
    assert json.loads(path.read_text(encoding="utf-8"))["response"] == {"status": 500}
    path.unlink()


# --- the description ----------------------------------------------------------------------

DESCRIBED = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("distances", StandardPythonParameterType([{"value": 1.0, "unit": "mile"}]))
@output_schema(StandardPythonParameterType({"km": [1.609]}))
def run(distances):
    return {"km": [one["value"] * 1.609 for one in distances]}
"""


def test_the_description_stands_beside_it_and_its_example_can_be_sent(
    tmp_path: Path, open_page: Open
) -> None:
    (tmp_path / "score.py").write_text(DESCRIBED, encoding="utf-8")
    with serving(tmp_path / "score.py", "--dev", root=tmp_path) as server:
        page = open_page(server)
        api = page.get_by_role("complementary", name="Description of the service")

        expect(api.locator("summary", has_text="POST /score")).to_be_visible()
        expect(api).to_contain_text("distances array of object")
        expect(api).to_contain_text("value number (double), required")
        expect(api).to_contain_text("Answer 200")
        editor(page).fill("")
        api.get_by_role("button", name="Use it").click()
        expect(editor(page)).to_have_value('{\n  "distances": [{"value": 1.0, "unit": "mile"}]\n}')
        send(page)

        assert panel(page, "Body") == '{"km": [1.609]}'


# --- the key ------------------------------------------------------------------------------


def test_a_key_is_asked_for_and_kept_for_this_tab_only(tmp_path: Path, open_page: Open) -> None:
    (tmp_path / "score.py").write_text(SCRIPT, encoding="utf-8")
    keys = {"AZMLINFSRV_AUTH_KEYS": "k-4711"}
    with serving(tmp_path / "score.py", "--dev", root=tmp_path, environ=keys) as server:
        page = open_page(server)

        expect(page.get_by_label("Key of this service")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-note")).to_have_text("This is not a key of this service.")
        page.get_by_label("Key of this service").fill("k-4711")
        page.keyboard.press("Enter")
        expect(page.locator("#about")).to_contain_text("development mode")
        send(page, MARATHON)
        expect(page.locator("#code")).to_have_text("200 OK")

        page.get_by_role("tab", name="curl").click()
        assert '-H "api-key: $KEY"' in (page.locator("#curl").text_content() or "")
        assert "k-4711" not in page.content()
        assert "k-4711" not in page.evaluate("JSON.stringify(localStorage)")
        assert "k-4711" in page.evaluate("JSON.stringify(sessionStorage)")
        page.get_by_role("button", name="Key", exact=True).click()
        page.get_by_role("button", name="Forget it").click()
        expect(page.locator("#key-note")).to_have_text("This service needs a key.")
        assert page.evaluate("sessionStorage.length") == 0
