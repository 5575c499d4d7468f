"""What the arguments of `ingest` mean: files, folders, patterns and URLs."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

_SCHEMES = ("http://", "https://")
_PATTERN_CHARACTERS = frozenset("*?[")


class NothingToSend(Exception):
    """An argument that means no file and no address; the text says why."""


class LocalFile(msgspec.Struct, frozen=True):
    """A file as it was found; `name` is what the document is called: below a folder, its path from there."""

    name: str
    path: Path
    size_bytes: int
    modified_ns: int


class Sources(msgspec.Struct, frozen=True):
    """Everything to send, each thing once, in the order of the arguments."""

    files: tuple[LocalFile, ...]
    urls: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def find_sources(arguments: Sequence[str]) -> Sources:
    """Files below folders are found at any depth, hidden ones left out. Raises NothingToSend."""
    urls = tuple(dict.fromkeys(one for one in arguments if one.lower().startswith(_SCHEMES)))
    found = (file for one in arguments if not one.lower().startswith(_SCHEMES) for file in _files_of(one))
    files = {file.path.resolve(): file for file in found}
    return Sources(tuple(files.values()), urls)


def _files_of(argument: str) -> Iterator[LocalFile]:
    path = Path(argument).expanduser()
    if path.is_dir():
        yield from _below(path)
    elif path.exists():
        yield _local(path.name, path)
    elif _PATTERN_CHARACTERS.isdisjoint(argument):
        raise NothingToSend(f"{argument} does not exist: name files, folders, patterns or URLs")
    else:
        yield from _matching(argument)


def _below(folder: Path) -> Iterator[LocalFile]:
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            yield _local(str(inner), path)


def _matching(pattern: str) -> Iterator[LocalFile]:
    """`**` is any depth. Names begin behind the part without a pattern, as they do below a folder."""
    root = _fixed_part(Path(pattern).expanduser())
    matches = sorted(map(Path, glob.iglob(str(Path(pattern).expanduser()), recursive=True)))  # noqa: PTH207  patterns with a root
    files = [path for path in matches if path.is_file()]
    if not files:
        raise NothingToSend(f"no file matches {pattern}")
    yield from (_local(str(path.relative_to(root)), path) for path in files)


def _fixed_part(pattern: Path) -> Path:
    fixed = list[str]()
    for part in pattern.parts[:-1]:
        if not _PATTERN_CHARACTERS.isdisjoint(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _local(name: str, path: Path) -> LocalFile:
    try:
        status = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise NothingToSend(f"{path} cannot be read: {error.strerror}") from None
    return LocalFile(name, path, status.st_size, status.st_mtime_ns)
