"""The outline of a Markdown source names places in the source as it was written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.markdown import outline, plain_words, shorten_data_uris

SOURCE = """---
title: not a heading
---
# The *mill* #

Grinding
--------

```
# no heading
| no | table |
|----|-------|
```

| part | price \\| EUR |
|:-----|------:|
| MS-4410 | 48.50 |
| MS-4425 | 115 |

### See [the stones](stones.md)
- item
- - -
"""


def test_headings_are_found_with_their_levels_and_places() -> None:
    headings, _ = outline(SOURCE)
    assert [(heading.level, heading.text) for heading in headings] == [
        (1, "The mill"),
        (2, "Grinding"),
        (3, "See the stones"),
    ]
    assert [SOURCE[heading.start :].split("\n")[0] for heading in headings] == [
        "# The *mill* #",
        "Grinding",
        "### See [the stones](stones.md)",
    ]


def test_tables_are_found_with_their_size() -> None:
    _, (table,) = outline(SOURCE)
    rendering = SOURCE[table.start : table.end]
    assert rendering.startswith("| part |")
    assert rendering.endswith("| 115 |")
    assert (table.rows, table.columns) == (3, 2)


def test_a_picture_in_the_text_is_cut_down_to_its_type() -> None:
    source = "![mill](data:image/png;base64," + "iVBORw0KGgo" * 100 + ") and more"
    assert shorten_data_uris(source) == "![mill](data:image/png) and more"


def test_marks_are_not_words() -> None:
    assert plain_words("**Bold** `code` ![a](b) [c](d)") == "Bold code a c"


@pytest.mark.parametrize("piece", [" [", "|-", "[a](", "#", "~~~\n", "a\n-\n"])
def test_repeated_marks_take_no_time(piece: str) -> None:
    started = time.process_time()
    outline("# a\n|a|\n# " + piece * 50_000 + "x")
    assert time.process_time() - started < 5


@given(st.text(st.sampled_from("#-=|`~ \nab[]()*:")))
def test_spans_lie_in_the_text(text: str) -> None:
    headings, tables = outline(text)
    assert all(0 <= heading.start < len(text) and heading.text for heading in headings)
    assert all(0 <= table.start < table.end <= len(text) for table in tables)
    assert list(headings) == sorted(headings, key=lambda heading: heading.start)
