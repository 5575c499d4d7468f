"""How the rows of a document are spread over requests."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.contract.index_contract import rows_of

BODY_BYTES_MAX = 32 * 1024**2
"""`service.max_request_size_mb` of a server that is not told otherwise."""


@given(sizes=st.lists(st.integers(1, 200_000), max_size=30))
def test_every_row_goes_once_in_order_and_no_request_is_empty(sizes: list[int]) -> None:
    from knowledge.qdrant_writer import parts_of

    (row,) = rows_of("doc_1", ["磨"])
    rows = [
        structs.replace(row, chunk=structs.replace(row.chunk, chunk_id=f"{number:032x}", text="磨" * size))
        for number, size in enumerate(sizes)
    ]
    parts = list(parts_of(rows))
    assert [row.chunk.chunk_id for part in parts for row in part] == [row.chunk.chunk_id for row in rows]
    assert all(parts)


def test_a_request_of_chinese_rows_is_smaller_than_what_a_server_takes() -> None:
    from knowledge.qdrant_points import point_of
    from knowledge.qdrant_writer import REQUEST_BYTES_MAX, parts_of

    characters = "".join(chr(0x4E00 + place * 7 % 3_000) for place in range(3_000))
    texts = [characters[number : number + 2_000] for number in range(400)]
    first, *others = parts_of(rows_of("doc_1", texts))
    assert others, "they do not fit into one"
    body = sum(len(msgspec.json.encode(point_of("kb.1", row, 7).model_dump())) for row in first)
    assert REQUEST_BYTES_MAX / 4 < body < BODY_BYTES_MAX
