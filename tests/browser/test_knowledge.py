"""Knowledge bases and documents: found among many, tried before they are changed, mended by hand."""

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.tab import Tab
from tests.e2e.api import Api
from tests.waiting import poll

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"
MANY: Final = 24
NARROW: Final = ViewportSize(width=360, height=740)
OVERFLOWING: Final = """
[...document.querySelectorAll("main .card, main .preview, dialog")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.className)
"""
TEXT: Final = "\n\n".join(
    f"# Stone {one}\n\n" + f"Stone {one} is of granite and is dressed in spring. " * 6 for one in range(6)
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stones(api: Api) -> dict[str, str]:
    """A knowledge base with a document about six stones."""
    kb = api.create("Six stones")
    task = api.upload(kb, [("stones.md", TEXT.encode())])
    api.ended(task)
    return {"kb": kb, "document": api.documents(task)[0].document_id}


@pytest.fixture(scope="module")
def many(api: Api) -> list[str]:
    """More knowledge bases than a menu shows, and a last page of them."""
    return [api.create(f"Mill number {one} 磨坊") for one in range(MANY)]


def passages_said(page: Page) -> int:
    """How many the preview tells of."""
    said = page.locator(".preview-said")
    expect(said).to_have_attribute("aria-busy", "false")
    return int(re.findall(r"\d+", said.inner_text())[0])


def test_settings_are_tried_on_a_document_before_they_are_saved(tab: Tab, api: Api, stones: dict[str, str]) -> None:
    page, kb = tab.page, stones["kb"]
    before = api.knowledge_base(kb)
    tab.open(f"knowledge-bases/{kb}?tab=settings")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_test_id("preview")
    expect(preview.get_by_label("Document")).to_contain_text("stones.md")
    expect(preview.locator(".chunk").first).to_contain_text("Stone 0 is of granite")
    few = passages_said(page)
    page.get_by_label("Largest passage, tokens").fill("32")
    page.get_by_label("Overlap, tokens").fill("0")
    expect(page.locator(".preview-said")).not_to_have_text(re.compile(rf"^{few} passages?\b"))
    assert passages_said(page) > few
    page.get_by_label("Largest passage, tokens").fill("8")
    expect(preview.get_by_role("alert")).to_contain_text("chunk_tokens")
    page.get_by_label("Largest passage, tokens").fill("64")
    preview.get_by_role("button", name="A text").click()
    preview.get_by_label("Text").fill("# 石磨\n\n石磨要停机检查。")
    expect(preview.locator(".chunk")).to_contain_text("石磨要停机检查")
    assert api.knowledge_base(kb).settings == before.settings, "nothing is saved by looking"


def test_a_document_is_cut_in_a_way_of_its_own_that_was_tried_first(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("one of its own")
    task = api.upload(kb, [("stones.md", TEXT.encode())])
    api.ended(task)
    document = api.documents(task)[0]
    tab.open(f"knowledge-bases/{kb}/documents/{document.document_id}")
    page.get_by_role("button", name="Process again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From").select_option("chunk")
    dialog.get_by_role("button", name="In a way of its own").click()
    dialog.get_by_label("Way of cutting").select_option("window")
    dialog.get_by_role("button", name="Preview").click()
    wanted = passages_said(page)
    assert wanted > document.counts.chunks
    dialog.get_by_role("button", name="Process again").click()
    page.wait_for_url("**/tasks/**")
    expect(page.locator(".head .badge", has_text="completed")).to_be_visible()
    tab.open(f"knowledge-bases/{kb}/documents/{document.document_id}")
    expect(page.locator(".facts")).to_contain_text("Single sentences")
    assert api.documents(task)[0].counts.chunks == wanted


def test_settings_that_need_another_index_build_it_when_somebody_says_so(tab: Tab, api: Api) -> None:
    page, kb = tab.page, api.create("another index")
    api.ended(api.upload(kb, [("stones.md", TEXT.encode())]))
    tab.open(f"knowledge-bases/{kb}?tab=settings")
    page.get_by_label("Largest passage, tokens").fill("64")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("This needs a new index")
    assert api.knowledge_base(kb).settings.chunk_tokens == 256, "nothing has happened yet"
    page.get_by_role("button", name="Build it").click()
    page.get_by_role("dialog").get_by_role("button", name="Build it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    poll(lambda: api.knowledge_base(kb).index_generation == 2, "the other index serves", 60)
    assert api.knowledge_base(kb).settings.chunk_tokens == 64
    expect(page.get_by_text("Searches read generation 2.")).to_be_visible()


def test_a_passage_is_edited_found_by_its_new_words_and_switched_off(tab: Tab, stones: dict[str, str]) -> None:
    page, kb = tab.page, stones["kb"]
    tab.open(f"knowledge-bases/{kb}/documents/{stones['document']}")
    first = page.locator(".chunk").first
    first.get_by_role("button", name=re.compile("^#1")).click()
    expect(page.locator(".text mark")).to_contain_text("Stone 0 is of granite")
    first.get_by_role("button", name="Edit passage #1").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Text of the passage").fill("The porphyry stone hums at dawn.")
    dialog.get_by_role("button", name="Save").click()
    expect(first.locator(".badge", has_text="edited")).to_be_visible()

    tab.open(f"search?q=porphyry&kb={kb}&mode=keyword")
    expect(page.locator(".passage").first).to_contain_text("The porphyry stone hums at dawn.")
    page.locator(".passage").first.get_by_role("link", name="Show in the document").click()
    chosen = page.locator(".chunk[data-chosen]")
    chosen.get_by_role("button", name="Switch off #1").click()
    expect(chosen.locator(".badge", has_text="off")).to_be_visible()
    tab.open(f"search?q=porphyry&kb={kb}&mode=keyword")
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()

    tab.open(f"knowledge-bases/{kb}/documents/{stones['document']}")
    page.locator(".chunk").first.get_by_role("button", name="Edit passage #1").click()
    page.get_by_role("dialog").get_by_role("button", name="As it was cut").click()
    expect(page.locator(".chunk").first).to_contain_text("Stone 0 is of granite")


def test_one_of_many_knowledge_bases_is_found_by_its_name(tab: Tab, many: list[str]) -> None:
    page = tab.page
    tab.open("upload")
    chooser = page.get_by_role("combobox", name="Into")
    found = page.locator(".chooser-list").get_by_role("option")
    chooser.click()
    expect(found.first).to_be_visible()
    chooser.press_sequentially("number 7")
    expect(found).to_have_count(1)
    chooser.press("Enter")
    expect(chooser).to_have_value("Mill number 7 磨坊")
    chooser.press("ArrowDown")
    chooser.press_sequentially("no such")
    expect(found).to_have_text("No name contains that")
    chooser.press("Escape")
    expect(chooser).to_have_value("Mill number 7 磨坊")

    tab.open("knowledge-bases")
    page.get_by_label("Name contains").fill("number 2")
    expect(page.locator(".base")).to_have_count(5)
    page.get_by_label("Name contains").fill("no such")
    expect(page.get_by_role("heading", name="No such knowledge base")).to_be_visible()


def test_a_knowledge_base_is_made_described_and_deleted(tab: Tab, api: Api) -> None:
    page = tab.page
    tab.open("knowledge-bases")
    page.get_by_role("button", name="Create a knowledge base").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("Short lived")
    dialog.get_by_text("How documents are cut").click()
    dialog.get_by_label("Way of cutting").select_option("parents")
    dialog.get_by_label("Larger passage, tokens").fill("512")
    dialog.get_by_role("button", name="Create a knowledge base").click()
    expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    kb = page.url.rsplit("/", 1)[-1]
    assert api.knowledge_base(kb).settings.chunk_parent_tokens == 512

    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Description").fill("About nothing yet.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".said")).to_have_text("Saved")
    expect(page.locator(".lead")).to_have_text("About nothing yet.")
    page.get_by_role("button", name="Delete knowledge base").click()
    page.get_by_role("dialog").get_by_label("Yes, erase all of it").check()
    page.get_by_role("dialog").get_by_role("button", name="Delete knowledge base").click()
    expect(page.get_by_role("heading", name="Knowledge bases")).to_be_visible()
    expect(page.get_by_role("link", name="Short lived")).to_have_count(0)


def test_a_search_among_documents_that_finds_none_says_how_to_go_on(tab: Tab, stones: dict[str, str]) -> None:
    page = tab.page
    tab.open(f"knowledge-bases/{stones['kb']}")
    page.get_by_label("Name contains").fill("no such")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.get_by_role("link", name="stones.md")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_within_a_view_has_no_serious_finding_of_axe_and_fits_a_small_telephone(
    tab: Tab, axe: str, scheme: str, many: list[str], stones: dict[str, str]
) -> None:
    page = tab.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.set_viewport_size(NARROW)
    tab.open(f"upload?kb={many[0]}")
    page.evaluate(axe)

    def judge(what: str) -> None:
        told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = [one for one in told["violations"] if one["impact"] in {"serious", "critical"}]
        assert serious == [], f"{what}: {[(one['id'], one['nodes'][0]['target']) for one in serious]}"
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], f"{what} is too wide"
        assert page.evaluate(OVERFLOWING) == [], f"{what} does not fit its frame"

    files = [SAMPLES / "safety-handbook.pdf", SAMPLES / "石磨养护规程.pdf"]
    page.get_by_test_id("files").set_input_files(files)
    page.get_by_text("Each of the 2 files").click()
    expect(page.locator(".upload-files li").first).to_be_visible()
    expect(page.locator(".upload")).to_have_attribute("data-state", re.compile("accepted|duplicate"))
    judge("uploads")
    page.get_by_role("combobox", name="Into").click()
    expect(page.locator(".chooser-list").get_by_role("option").first).to_be_visible()
    judge("a chooser")
    tab.open(f"knowledge-bases/{stones['kb']}?tab=settings")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview .chunk").first).to_be_visible()
    judge("a preview")
    tab.open(f"knowledge-bases/{stones['kb']}/documents/{stones['document']}")
    page.get_by_role("button", name="Process again").click()
    page.get_by_role("dialog").get_by_role("button", name="In a way of its own").click()
    expect(page.get_by_role("dialog").get_by_label("Way of cutting")).to_be_visible()
    judge("a dialog")
