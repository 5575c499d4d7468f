import time
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knowledge.chunk import count_tokens, indexed_text
from knowledge.chunkers import Chunker, ChunkerKind, ChunkerOptions, make_chunker
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.markdown import outline
from knowledge.sentences import split_sentences
from knowledge.text import Heading, Page, ParsedText, Table, TextFormat
from processors.settings import WorkerSettings
from tests.examples import examples

WORDS = st.sampled_from(
    [
        "stone ",
        "磨坊每天磨面粉，",
        "停机。",
        "Lift it. ",
        "\n",
        "\n\n",
        "# Head\n",
        "| a | b |\n",
        "x" * 40,
        "  ",
        "a, ",
        "\t",
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=80).map("".join), st.just("a" * 500))


@cache
def small(kind: ChunkerKind) -> Chunker:
    """Made when a test asks: the first one imports LlamaIndex, a second that processes with other tests do not need."""
    return make_chunker(kind, ChunkerOptions(size_tokens=16, overlap_tokens=4))


@st.composite
def parsed_texts(draw: st.DrawFn) -> ParsedText:
    text = draw(TEXTS)
    starts = sorted(draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=6))) if text else []
    headings = tuple(Heading(draw(st.integers(1, 3)), f"h{start}", start) for start in starts)
    return ParsedText(text=text, headings=headings, format=TextFormat.MARKDOWN)


@pytest.mark.parametrize("kind", list(ChunkerKind))
@settings(max_examples=examples(60), deadline=None)
@given(text=parsed_texts())
@example(text=ParsedText(text="0:0。0:0:0:0:0::0{", format=TextFormat.MARKDOWN))
def test_chunks_are_exact_spans_that_cover_all_that_is_visible(kind: ChunkerKind, text: ParsedText) -> None:
    chunks = small(kind).chunk(text, document_id="doc_1", chunks_max=10_000)
    covered: set[int] = set()
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert text.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip() == chunk.text != ""
        assert chunk.tokens == count_tokens(chunk.text) <= 16
        assert chunk.headings == text.heading_path(chunk.start)
        covered.update(range(chunk.start, chunk.end))
    assert all(place in covered for place, character in enumerate(text.text) if not character.isspace())
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)


@pytest.mark.parametrize("kind", list(ChunkerKind))
def test_the_same_text_makes_the_same_chunks(kind: ChunkerKind) -> None:
    text = ParsedText(text="Lift the stone. Oil the shaft. " * 30)
    first = small(kind).chunk(text, document_id="doc_1", chunks_max=100)
    again = make_chunker(kind, ChunkerOptions(size_tokens=16, overlap_tokens=4)).chunk(
        text, document_id="doc_1", chunks_max=100
    )
    assert first == again
    assert len(first) > 5


def chunk_texts(chunker: Chunker, text: ParsedText) -> list[str]:
    return [chunk.text for chunk in chunker.chunk(text, document_id="doc_1", chunks_max=100)]


def test_chinese_is_cut_between_sentences() -> None:
    text = ParsedText(text="石磨每月检查一次。检查前必须停机。停机后等待十分钟。然后抬起上磨。")
    assert chunk_texts(make_chunker(ChunkerKind.SENTENCE, ChunkerOptions(size_tokens=20, overlap_tokens=0)), text) == [
        "石磨每月检查一次。检查前必须停机。",
        "停机后等待十分钟。然后抬起上磨。",
    ]


def test_overlap_repeats_whole_sentences() -> None:
    text = ParsedText(text="Open the gate now. Stop. Lift the heavy stone up. Clean it well today please. Done.")
    chunker = make_chunker(ChunkerKind.SENTENCE, ChunkerOptions(size_tokens=16, overlap_tokens=6))
    texts = chunk_texts(chunker, text)
    assert len(texts) > 1
    for earlier, later in pairwise(texts):
        assert earlier.endswith(split_sentences(later)[0].strip())


def test_sections_do_not_flow_into_one_another() -> None:
    one, two = "# Safety\n" + "Wear a mask here. " * 4, "# Prices\n" + "Rye costs four. " * 4
    text = ParsedText(
        text=one + two, headings=(Heading(1, "Safety", 0), Heading(1, "Prices", len(one))), format=TextFormat.MARKDOWN
    )
    chunks = small(ChunkerKind.MARKDOWN).chunk(text, document_id="doc_1", chunks_max=100)
    assert {chunk.headings for chunk in chunks} == {("Safety",), ("Prices",)}
    assert all(("mask" in chunk.text) != ("Rye" in chunk.text) for chunk in chunks)


def test_small_sections_are_joined() -> None:
    text = "# A\n# B\n# C\nStones."
    headings = tuple(Heading(1, name, text.index(f"# {name}")) for name in "ABC")
    chunker = make_chunker(ChunkerKind.MARKDOWN, ChunkerOptions(size_tokens=32, overlap_tokens=0))
    assert chunk_texts(chunker, ParsedText(text=text, headings=headings)) == [text]


def test_a_chunk_has_the_page_that_it_starts_on() -> None:
    text = "Stones turn. " * 10
    pages = (Page(1, 0, 65), Page(2, 65, len(text)))
    chunks = small(ChunkerKind.SENTENCE).chunk(ParsedText(text=text, pages=pages), document_id="d", chunks_max=100)
    assert [chunk.page for chunk in chunks] == [1 if chunk.start < 65 else 2 for chunk in chunks]
    assert {chunk.page for chunk in chunks} == {1, 2}


@pytest.mark.parametrize("kind", list(ChunkerKind))
def test_too_many_chunks_are_refused(kind: ChunkerKind) -> None:
    with pytest.raises(ParseError) as refusal:
        small(kind).chunk(ParsedText(text="Lift. " * 100), document_id="d", chunks_max=3)
    assert refusal.value.code is ParseErrorCode.TOO_MANY_CHUNKS


def test_a_hundred_thousand_chunks_are_the_most() -> None:
    text = "磨" * (16 * WorkerSettings().chunks_max + 1)
    with pytest.raises(ParseError, match="100,000 chunks") as refusal:
        small(ChunkerKind.SENTENCE).chunk(
            ParsedText(text=text), document_id="d", chunks_max=WorkerSettings().chunks_max
        )
    assert refusal.value.code is ParseErrorCode.TOO_MANY_CHUNKS


@pytest.mark.parametrize("kind", list(ChunkerKind))
def test_nothing_visible_makes_no_chunk(kind: ChunkerKind) -> None:
    assert small(kind).chunk(ParsedText(text=" \n\t\n "), document_id="d", chunks_max=3) == ()


@pytest.mark.parametrize(("size", "overlap"), [(15, 0), (8_193, 0), (100, 51), (100, -1)])
def test_sizes_out_of_range_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        make_chunker(ChunkerKind.SENTENCE, ChunkerOptions(size_tokens=size, overlap_tokens=overlap))


def test_settings_are_in_the_name() -> None:
    assert (
        make_chunker(ChunkerKind.MARKDOWN, ChunkerOptions(size_tokens=128, overlap_tokens=16)).name == "markdown-128-16"
    )


HANDBOOK = "\n\n".join(
    f"Stone {number} is dressed after {number * 7 % 31} days. The miller lifts it with the crane. "
    f"磨坊里的第{number}块石磨每{number * 5 % 17}天修凿一次。修凿之前必须停机。"
    for number in range(150)
)


# Where `semantic` cuts is asked of a model; without its answer the text is one part.
@pytest.mark.parametrize("kind", [kind for kind in ChunkerKind if kind is not ChunkerKind.SEMANTIC])
@settings(max_examples=5, deadline=None)
@given(place=st.integers(0, len(HANDBOOK)), words=st.sampled_from(["", "A word more. ", "多一句话。\n\n另一段。"]))
def test_an_edit_in_the_middle_leaves_the_other_ids_alone(kind: ChunkerKind, place: int, words: str) -> None:
    before, after = ids_of(kind, HANDBOOK), ids_of(kind, HANDBOOK[:place] + words + HANDBOOK[place:])
    assert len(before) > 20
    assert len(after - before) <= 0.2 * len(after)


@cache
def ids_of(kind: ChunkerKind, text: str) -> set[str]:
    chunker = make_chunker(kind, ChunkerOptions(size_tokens=64, overlap_tokens=8, parent_tokens=128))
    return {chunk.chunk_id for chunk in chunker.chunk(ParsedText(text=text), document_id="d", chunks_max=10_000)}


def test_parents_are_answered_and_children_indexed() -> None:
    chunker = make_chunker(ChunkerKind.PARENTS, ChunkerOptions(size_tokens=32, overlap_tokens=0, parent_tokens=128))
    chunks = chunker.chunk(ParsedText(text=HANDBOOK), document_id="d", chunks_max=10_000)
    assert all(chunk.text in chunk.context for chunk in chunks if chunk.context)
    assert all(count_tokens(chunk.context) <= 128 for chunk in chunks)
    assert len({chunk.context for chunk in chunks}) < len(chunks) / 2


def test_a_window_is_the_sentences_on_either_side() -> None:
    text = ParsedText(text="One is here. Two is here. Three is here. Four is here. Five is here.")
    chunker = make_chunker(ChunkerKind.WINDOW, ChunkerOptions(size_tokens=16, overlap_tokens=0, window_sentences=1))
    chunks = chunker.chunk(text, document_id="d", chunks_max=10)
    assert [chunk.text for chunk in chunks][2] == "Three is here."
    assert chunks[2].context == "Two is here. Three is here. Four is here."
    assert chunks[0].context == "One is here. Two is here."


def test_each_row_of_a_table_comes_under_its_header() -> None:
    table = "| part | price |\n| --- | --- |\n| pick | 12 |\n| rope | 30 |\n| 石磨 | 900 |"
    text = ParsedText(text=f"Prices of parts.\n\n{table}\n\nPlus tax.", tables=(Table(18, 18 + len(table), 4, 2),))
    chunker = make_chunker(ChunkerKind.ROWS, ChunkerOptions(size_tokens=64, overlap_tokens=0))
    chunks = chunker.chunk(text, document_id="d", chunks_max=10)
    assert [chunk.text for chunk in chunks] == [
        "Prices of parts.",
        "| part | price |\n| --- | --- |\n| pick | 12 |",
        "| rope | 30 |",
        "| 石磨 | 900 |",
        "Plus tax.",
    ]
    assert chunks[3].lead == "| part | price |"
    assert chunks[3].context == "| part | price |\n| --- | --- |\n| 石磨 | 900 |"
    assert "price" in indexed_text(chunks[3])


@pytest.mark.parametrize("kind", [ChunkerKind.MARKDOWN, ChunkerKind.SENTENCE])
def test_a_long_table_repeats_its_header_in_every_kind(kind: ChunkerKind) -> None:
    rows = "\n".join(f"| part {number} | {number} |" for number in range(40))
    table = f"| part | price |\n| --- | --- |\n{rows}"
    text = ParsedText(text=table, tables=(Table(0, len(table), 41, 2),))
    chunks = make_chunker(kind, ChunkerOptions(size_tokens=64, overlap_tokens=0)).chunk(
        text, document_id="d", chunks_max=100
    )
    assert [chunk.lead for chunk in chunks] == ["", *["| part | price |"] * (len(chunks) - 1)]
    assert all(chunk.text.startswith("|") for chunk in chunks)


def test_a_page_is_one_chunk() -> None:
    text = "First page. It is short.\n\nSecond page.\n\nThird."
    pages = (Page(1, 0, 26), Page(2, 26, 40), Page(3, 40, len(text)))
    chunker = make_chunker(ChunkerKind.PAGE, ChunkerOptions(size_tokens=64, overlap_tokens=32))
    chunks = chunker.chunk(ParsedText(text=text, pages=pages), document_id="d", chunks_max=10)
    assert [(chunk.text, chunk.page) for chunk in chunks] == [
        ("First page. It is short.", 1),
        ("Second page.", 2),
        ("Third.", 3),
    ]


def test_a_parent_is_not_smaller_than_its_children() -> None:
    with pytest.raises(ValueError, match="parent_tokens"):
        make_chunker(ChunkerKind.PARENTS, ChunkerOptions(size_tokens=256, parent_tokens=128))


@pytest.mark.parametrize(
    "text",
    ["\n" * 500_000, "- " * 50_000, "a\n\n" * 25_000, "磨" * 75_000],
    ids=["blank lines", "dashes", "letters", "no marks"],
)
def test_what_is_no_prose_takes_no_time(text: str) -> None:
    started = time.process_time()
    outline(text)
    make_chunker(ChunkerKind.MARKDOWN).chunk(ParsedText(text=text), document_id="d", chunks_max=100_000)
    assert time.process_time() - started < 2
