"""Pure: which files go together in one request. A break in the middle costs one parcel, not all."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from millstream.sending.sources import LocalFile, Sources

FORM_FILES_MAX: Final = 100
FORM_BYTES_MAX: Final = 32 * 1024 * 1024
RESUMABLE_BYTES_MIN: Final = 16 * 1024 * 1024
"""From here on a file goes up alone, resumably: what breaks off goes on where it stopped."""

URLS_MAX: Final = 100
"""Of one import, as the server takes them at most."""


class Form(msgspec.Struct, frozen=True):
    """Small files, together in one multipart request and one task."""

    files: tuple[LocalFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class Resumable(msgspec.Struct, frozen=True):
    """One large file over tus."""

    file: LocalFile

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes


class Import(msgspec.Struct, frozen=True):
    """Addresses that the server fetches itself."""

    urls: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return 0


Parcel = Form | Resumable | Import


def pack(sources: Sources) -> tuple[Parcel, ...]:
    """Large files go first: they take longest, and the small ones fill the gaps."""
    large = sorted(
        (file for file in sources.files if file.size_bytes >= RESUMABLE_BYTES_MIN), key=lambda file: -file.size_bytes
    )
    small = [file for file in sources.files if file.size_bytes < RESUMABLE_BYTES_MIN]
    imports = (sources.urls[first : first + URLS_MAX] for first in range(0, len(sources.urls), URLS_MAX))
    return (*map(Resumable, large), *map(Form, _forms(small)), *map(Import, imports))


def _forms(files: Sequence[LocalFile]) -> Iterator[tuple[LocalFile, ...]]:
    form, size_bytes = list[LocalFile](), 0
    for file in files:
        if form and (len(form) == FORM_FILES_MAX or size_bytes + file.size_bytes > FORM_BYTES_MAX):
            yield tuple(form)
            form, size_bytes = [], 0
        form.append(file)
        size_bytes += file.size_bytes
    if form:
        yield tuple(form)
