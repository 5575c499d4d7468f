"""Which files go together."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from millstream.sending.parcels import (
    FORM_BYTES_MAX,
    FORM_FILES_MAX,
    RESUMABLE_BYTES_MIN,
    URLS_MAX,
    Form,
    Import,
    Resumable,
    pack,
)
from millstream.sending.sources import LocalFile, Sources

SIZES = st.integers(0, 2 * RESUMABLE_BYTES_MIN)


def sources(sizes: list[int], urls: int) -> Sources:
    files = (LocalFile(str(number), Path(str(number)), size, 0) for number, size in enumerate(sizes))
    return Sources(tuple(files), tuple(f"https://example.org/{number}" for number in range(urls)))


@given(st.lists(SIZES, max_size=300), st.integers(0, 250))
def test_everything_is_packed_once_and_no_parcel_is_too_large(sizes: list[int], urls: int) -> None:
    packed = pack(sources(sizes, urls))

    forms = [parcel for parcel in packed if isinstance(parcel, Form)]
    alone = [parcel.file for parcel in packed if isinstance(parcel, Resumable)]
    sent = [file.name for form in forms for file in form.files] + [file.name for file in alone]
    assert sorted(sent) == sorted(map(str, range(len(sizes))))
    assert all(file.size_bytes >= RESUMABLE_BYTES_MIN for file in alone)
    assert all(1 <= len(form.files) <= FORM_FILES_MAX for form in forms)
    assert all(form.size_bytes <= FORM_BYTES_MAX or len(form.files) == 1 for form in forms)
    imports = [parcel for parcel in packed if isinstance(parcel, Import)]
    assert sum(len(parcel.urls) for parcel in imports) == urls
    assert all(1 <= len(parcel.urls) <= URLS_MAX for parcel in imports)


def test_the_largest_go_first() -> None:
    mib = 1024 * 1024
    packed = pack(sources([1, 20 * mib, 90 * mib, 1], 0))
    assert [parcel.size_bytes for parcel in packed] == [90 * mib, 20 * mib, 2]
