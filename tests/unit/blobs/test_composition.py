"""Whatever the pieces, the parts are their bytes in order, large enough for the server, and little of them is read."""

from hypothesis import given
from hypothesis import strategies as st

from blobs.composition import plan_parts

LEAST = 10


@given(st.lists(st.integers(0, 35), max_size=20))
def test_parts_are_the_sources_in_order(sizes: list[int]) -> None:
    data = {f"k{number}": bytes([number]) * size for number, size in enumerate(sizes)}
    parts = plan_parts([(key, len(value)) for key, value in data.items()], least_bytes=LEAST)
    made = [b"".join(data[span.key][span.start : span.start + span.length] for span in part.spans) for part in parts]
    assert b"".join(made) == b"".join(data.values())
    assert all(len(part) >= LEAST for part in made[:-1])
    for part, content in zip(parts, made, strict=True):
        assert content
        if part.is_copied:
            (span,) = part.spans
            assert len(data[span.key]) >= LEAST
        else:
            assert len(content) <= LEAST


def test_pieces_that_are_large_enough_are_copied_whole() -> None:
    parts = plan_parts([("a", 20), ("b", 20), ("c", 3)], least_bytes=LEAST)
    assert [(part.is_copied, part.spans[0].start) for part in parts] == [(True, 0), (True, 0), (False, 0)]
