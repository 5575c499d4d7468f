"""What a seeded bug is: a few words of the product replaced by worse ones, and the tests that must see it."""

from pathlib import Path

import msgspec


class Edit(msgspec.Struct, frozen=True):
    """`old` stands exactly once in `file` (a path from the root of the repository)."""

    file: str
    old: str
    new: str


class Catch(msgspec.Struct, frozen=True):
    """A test (`path::test`, whatever its parameters) that must fail, and words that its failure must say: a test that
    fails because nothing works any more has caught nothing."""

    test: str
    because: str


class SeededBug(msgspec.Struct, frozen=True, kw_only=True):
    """`flaw` says in a sentence what a user would suffer from."""

    name: str
    flaw: str
    edits: tuple[Edit, ...]
    caught_by: tuple[Catch, ...]


class TextChanged(Exception):
    """A patch no longer fits the product: the seeded bug has to be written anew."""


def seeded_texts(root: Path, bug: SeededBug) -> dict[Path, str]:
    """The files that a bug changes, as it leaves them. Raises TextChanged."""
    texts: dict[Path, str] = {}
    for edit in bug.edits:
        path = root / edit.file
        text = texts[path] if path in texts else path.read_text(encoding="utf-8")
        count = text.count(edit.old)
        if count != 1:
            raise TextChanged(f"{bug.name}: {edit.file} has {count} times, instead of once:\n{edit.old}")
        texts[path] = text.replace(edit.old, edit.new)
    return texts
