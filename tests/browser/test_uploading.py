"""Bringing much in: folders, large files, addresses, texts; over lines that break, into a service that is busy."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.browser.tab import Tab
from tests.e2e.api import Api
from tests.waiting import poll

LARGE_BYTES: Final = 10 * 1024 * 1024
"""More than a piece: it goes up resumably, in two requests."""
SLOW_BYTES_PER_S: Final = 4 * 1024 * 1024
FOLDER_FILES: Final = 40

pytestmark = pytest.mark.timeout(300)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on this machine, which the mill is allowed to call."""
    folder = tmp_path_factory.mktemp("website")
    (folder / "wheat.md").write_text("# Wheat\n\nWheat is ground between two stones.", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    serving = Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty reports below two folders; one that cannot be read, one that is empty, one that is hidden."""
    reports = tmp_path / "reports"
    (reports / "2026").mkdir(parents=True)
    for number in range(FOLDER_FILES):
        (reports / "2026" / f"report-{number}.md").write_text(f"# Report {number}\n\nMill {number} stands.")
    (reports / "2025.md").write_text("# Report 0\n\nMill 0 stands.")
    (reports / "firmware.bin").write_bytes(b"\x00\x01\x02\xff\xfe\x00" * 20)
    (reports / "empty.txt").touch()
    (reports / ".DS_Store").write_bytes(b"hidden")
    return reports


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.txt"
    file.write_bytes(b"A line about grain.\n" * (LARGE_BYTES // 20))
    return file


def drop(page: Page, *paths: Path) -> None:
    """As the desktop drops files and folders on a page."""
    box = page.get_by_test_id("drop").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def limit_line(page: Page, bytes_per_s: int) -> None:
    """-1: as fast as it goes."""
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)


def offsets_of(page: Page) -> list[int]:
    """Fills up with the offset of every piece that is sent from now on."""
    found: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            found.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return found


def first_time(answer: Callable[[Route], None]) -> Callable[[Route], None]:
    """Answers the first request in its own way and lets all others through."""
    seen: list[Route] = []

    def handle(route: Route) -> None:
        seen.append(route)
        if len(seen) == 1:
            answer(route)
        else:
            route.continue_()

    return handle


def refusing(problem: dict[str, Any]) -> Callable[[Route], None]:
    """Answers with the problem."""

    def refuse(route: Route) -> None:
        headers = {"content-type": "application/problem+json"}
        route.fulfill(status=problem["status"], headers=headers, body=json.dumps(problem))

    return refuse


def test_files_are_packed_so_that_small_ones_travel_together_and_large_ones_alone(tab: Tab) -> None:
    tab.open("upload")
    packed = tab.page.evaluate(
        """async () => {
            const module = await import(`${new URL(document.querySelector("script[type=module]").src).pathname
                .replace("app.js", "uploads/parcels.js")}`);
            const files = [];
            for (let n = 0; n < 2500; n += 1) files.push({ name: `${n}.md`, bytes: 1000 + n });
            for (let n = 0; n < 40; n += 1) files.push({ name: `${n}.xyz`, bytes: 6_000_000 });
            for (const bytes of [9e9, 8 * 1024 * 1024, 2e8]) files.push({ name: `${bytes}.pdf`, bytes });
            return module.pack(files).map(({ kind, files }) => ({ kind, files }));
        }"""
    )
    forms = [one["files"] for one in packed if one["kind"] == "form"]
    large = [one["files"] for one in packed if one["kind"] == "resumable"]
    assert [len(files) for files in large] == [1, 1, 1]
    assert sum(map(len, forms)) == 2540, "each file once"
    assert len({(file["name"], file["bytes"]) for files in forms for file in files}) == 2540
    assert all(len(files) <= 1_000 for files in forms)
    assert all(sum(file["bytes"] for file in files) <= 128 * 1024 * 1024 for files in forms)
    assert len(forms) == 4, "no more forms than the limits ask for"
    assert forms[0][0]["name"].endswith(".xyz"), "what may be refused has little in front of it"


def test_a_dropped_folder_is_one_task_with_the_outcome_of_each_file(tab: Tab, api: Api, folder: Path) -> None:
    page, kb = tab.page, api.create("folders")
    tab.open(f"upload?kb={kb}")
    drop(page, folder)
    choice = page.locator(".upload")
    expect(choice).to_have_attribute("data-state", "accepted")
    expect(choice.locator("strong")).to_have_text("reports")
    expect(choice.locator(".counts")).to_have_text(f"{FOLDER_FILES} accepted1 was there already2 not taken")
    choice.get_by_text(f"Each of the {FOLDER_FILES + 3} files").click()
    files = choice.locator(".upload-files li")
    expect(files.filter(has_text="reports/firmware.bin")).to_contain_text("This kind of file is not read")
    expect(files.filter(has_text="reports/empty.txt")).to_contain_text("An empty file")
    expect(files.filter(has_text=re.compile("report-0.md|2025.md")).filter(has_text="duplicate")).to_have_count(1)
    expect(files.filter(has_text=".DS_Store")).to_have_count(0)

    choice.get_by_role("link", name="Watch it being processed").click()
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()
    assert api.http.get("/tasks", params={"knowledge_base": kb}).json()["total"] == 1
    found = api.http.get(f"/knowledge-bases/{kb}/documents", params={"metadata.path": "reports/2026/report-7.md"})
    assert [one["filename"] for one in found.json()["data"]] == ["report-7.md"]

    tab.open(f"tasks?kb={kb}")
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator(".main")).to_contain_text(f"+{FOLDER_FILES}")
    expect(row.locator(".main a")).to_have_text(re.compile(r"\.md$"))


def test_a_large_file_tells_its_speed_is_paused_and_goes_on_where_it_stopped(tab: Tab, api: Api, large: Path) -> None:
    page, kb = tab.page, api.create("large")
    tab.open(f"upload?kb={kb}")
    limit_line(page, SLOW_BYTES_PER_S)
    offsets = offsets_of(page)
    with page.expect_request(lambda request: request.method == "PATCH"):
        page.get_by_test_id("files").set_input_files(large)
        expect(page.get_by_test_id("speed")).to_contain_text("MB/s")
        expect(page.get_by_test_id("left")).to_contain_text("left")
    page.get_by_role("button", name="Pause: large.txt").click()
    expect(page.locator(".upload")).to_have_attribute("data-state", "paused")
    limit_line(page, -1)
    sent = len(offsets)
    page.get_by_role("button", name="Go on: large.txt").click()
    expect(page.locator(".upload")).to_have_attribute("data-state", "accepted")
    assert all(offset > 0 for offset in offsets[sent:]), "what had arrived is not sent again"


def test_files_whose_answer_was_lost_are_taken_once_though_they_are_chosen_again_after_a_reload(
    tab: Tab, context: BrowserContext, api: Api, tmp_path: Path
) -> None:
    page, kb = tab.page, api.create("lost answers")
    files = [tmp_path / name for name in ("a.md", "b.md")]
    for file in files:
        file.write_text(f"# {file.name}")

    tab.open(f"upload?kb={kb}")
    line = context.new_cdp_session(page)

    def lose(paused: dict[str, str]) -> None:
        line.send("Fetch.failRequest", {"requestId": paused["requestId"], "errorReason": "Failed"})

    line.on("Fetch.requestPaused", lose)
    answers = {"urlPattern": f"*/knowledge-bases/{kb}/documents", "requestStage": "Response"}
    line.send("Fetch.enable", {"patterns": [answers]})
    page.get_by_test_id("files").set_input_files(files)
    expect(page.get_by_test_id("waits")).to_contain_text("The service cannot be reached")
    poll(lambda: api.http.get("/tasks", params={"knowledge_base": kb}).json()["total"] == 1, "they are accepted")
    line.send("Fetch.disable")
    page.reload()
    expect(page.get_by_test_id("interrupted")).to_contain_text("a.md and 1 more")
    page.get_by_test_id("files").set_input_files(files)
    expect(page.locator(".upload")).to_have_attribute("data-state", "accepted")
    expect(page.get_by_test_id("interrupted")).to_have_count(0)
    assert api.http.get("/tasks", params={"knowledge_base": kb}).json()["total"] == 1


def test_a_busy_service_and_a_lost_line_are_waited_for(
    tab: Tab, context: BrowserContext, api: Api, tmp_path: Path
) -> None:
    page, kb = tab.page, api.create("busy")
    problem = {"status": 503, "code": "overloaded", "title": "Too many uploads at the same time", "retry_after_s": 1}

    def busy(route: Route) -> None:
        headers = {"content-type": "application/problem+json", "retry-after": "1"}
        route.fulfill(status=503, headers=headers, body=json.dumps(problem))

    context.route(f"**/knowledge-bases/{kb}/documents", first_time(busy))
    tab.open(f"upload?kb={kb}")
    (tmp_path / "patient.md").write_text("# Patience")
    page.get_by_test_id("files").set_input_files(tmp_path / "patient.md")
    expect(page.get_by_test_id("waits")).to_contain_text("Goes on by itself in")
    expect(page.locator(".upload")).to_have_attribute("data-state", "accepted")

    (tmp_path / "offline.md").write_text("# Offline")
    context.set_offline(True)
    page.get_by_test_id("files").set_input_files(tmp_path / "offline.md")
    expect(page.get_by_test_id("waits")).to_contain_text("The service cannot be reached")
    context.set_offline(False)
    expect(page.locator(".upload").first).to_have_attribute("data-state", "accepted")


def test_what_is_too_much_for_one_request_is_halved(
    tab: Tab, context: BrowserContext, api: Api, tmp_path: Path
) -> None:
    page, kb = tab.page, api.create("halves")
    files = [tmp_path / f"{name}.md" for name in ("a", "b", "c")]
    for file in files:
        file.write_text(f"# {file.name}")
    problem = {"status": 400, "code": "too_many_parts", "title": "The request has too many parts"}

    context.route(f"**/knowledge-bases/{kb}/documents", first_time(refusing(problem)))
    tab.open(f"upload?kb={kb}")
    page.get_by_test_id("files").set_input_files(files)
    choice = page.locator(".upload")
    expect(choice).to_have_attribute("data-state", "accepted")
    expect(choice.locator(".counts")).to_have_text("3 accepted")
    expect(choice.get_by_role("link", name="Watch")).to_have_count(2)


def test_what_only_a_person_can_mend_is_told_with_what_to_do(tab: Tab, api: Api, folder: Path) -> None:
    page = tab.page
    kb, other = api.create("deleted meanwhile"), api.create("the other one")
    tab.open(f"upload?kb={kb}")
    expect(page.get_by_test_id("drop")).to_be_visible()
    assert api.http.delete(f"/knowledge-bases/{kb}").status_code == 202
    drop(page, folder)
    choice = page.locator(".upload")
    expect(choice).to_have_attribute("data-state", "failed")
    expect(choice.get_by_role("alert")).to_contain_text(re.compile("deleted|no such knowledge base"))
    expect(choice).to_contain_text("Choose another knowledge base above")
    page.get_by_role("button", name="Discard: reports").click()
    tab.open("tasks")
    tab.open(f"upload?kb={other}")
    expect(page.get_by_test_id("drop")).to_be_visible()
    drop(page, folder)
    expect(page.locator(".upload")).to_have_attribute("data-state", "accepted")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("quota_exceeded", "Delete documents, or upload into another knowledge base."),
        ("storage_full", "Whoever runs the service has to make room."),
    ],
)
def test_where_there_is_no_room_the_page_says_who_can_make_some_and_goes_on_from_there(
    tab: Tab, context: BrowserContext, api: Api, folder: Path, code: str, advice: str
) -> None:
    page, kb = tab.page, api.create(code)
    problem = {"status": 507, "code": code, "title": "No room", "detail": "1 of 1 documents are there already."}
    context.route(f"**/knowledge-bases/{kb}/documents", first_time(refusing(problem)))
    tab.open(f"upload?kb={kb}")
    drop(page, folder)
    choice = page.locator(".upload")
    expect(choice).to_have_attribute("data-state", "failed")
    expect(choice.get_by_role("alert")).to_contain_text("1 of 1 documents are there already.")
    expect(choice).to_contain_text(advice)
    choice.get_by_role("button", name="Try again").click()
    expect(choice).to_have_attribute("data-state", "accepted")


def test_a_file_that_is_too_large_is_refused_with_the_setting_that_allows_it(
    tab: Tab, context: BrowserContext, api: Api, tmp_path: Path
) -> None:
    page, kb = tab.page, api.create("too large")
    problem = {"status": 413, "code": "payload_too_large", "title": "Too large", "detail": "One file may have 5 bytes."}
    context.route(f"**/knowledge-bases/{kb}/documents", refusing(problem))
    tab.open(f"upload?kb={kb}")
    (tmp_path / "large.md").write_text("# Large")
    page.get_by_test_id("files").set_input_files(tmp_path / "large.md")
    choice = page.locator(".upload")
    expect(choice.get_by_role("alert")).to_contain_text("One file may have 5 bytes.")
    expect(choice).to_contain_text("MILLSTREAM_UPLOAD_BYTES_MAX")


def test_addresses_are_fetched_and_those_that_are_refused_are_named(tab: Tab, api: Api, website: str) -> None:
    page, kb = tab.page, api.create("addresses")
    tab.open(f"upload?kb={kb}")
    page.get_by_role("button", name="Web addresses").click()
    page.get_by_label("Web addresses", exact=True).fill(f"{website}/wheat.md\nftp://127.0.0.1/rye.md")
    page.get_by_role("button", name="Fetch 2 addresses").click()
    expect(page.get_by_role("alert")).to_contain_text("ftp://127.0.0.1/rye.md")
    page.get_by_role("button", name="Leave out the refused one").click()
    page.get_by_role("button", name="Fetch 1 address").click()
    page.get_by_role("link", name="Watch it being processed").click()
    # The reports of the tests before, which nobody waited for, are ahead of it.
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible(timeout=120_000)
    found = api.http.get(f"/knowledge-bases/{kb}/documents").json()["data"]
    assert [(one["filename"], one["searchable"]) for one in found] == [("wheat.md", True)]


def test_texts_and_files_are_pasted(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("pasted")
    tab.open(f"upload?kb={kb}")
    page.get_by_role("button", name="Text", exact=True).click()
    page.get_by_label("Text", exact=True).fill("# Rye\n\nRye is sown in autumn. 黑麦秋播。")
    page.get_by_label("Name", exact=True).fill("rye.md")
    page.get_by_role("button", name="Add this text").click()
    expect(page.locator(".said")).to_contain_text("Accepted.")

    page.get_by_role("button", name="Files", exact=True).click()
    expect(page.get_by_test_id("drop")).to_be_visible()
    page.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File(["# Oats"], "oats.md", { type: "text/markdown" }));
            dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        }"""
    )
    expect(page.locator(".upload")).to_have_attribute("data-state", "accepted")
    found = api.http.get(f"/knowledge-bases/{kb}/documents").json()["data"]
    assert {one["filename"] for one in found} == {"rye.md", "oats.md"}


def test_tasks_come_and_go_with_the_filter_while_they_are_watched(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("watched tasks")
    tab.open(f"tasks?kb={kb}&status=completed")
    expect(page.get_by_role("heading", name="No task is like that")).to_be_visible()
    expect(page.locator('.live[data-state="live"]')).to_be_visible()
    api.upload(kb, [("barley.md", b"# Barley")])
    expect(page.get_by_role("link", name="barley.md")).to_be_visible()
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_role("heading", name="No task is like that")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.get_by_role("link", name="barley.md")).to_be_visible()
