"""Reading the rows of matches that a search of several knowledge bases found: the best ones, each once."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from knowledge.index import Hit
from knowledge.ranking import leading
from knowledge.search import SearchScope
from knowledge.sides import OpenScope, Placed
from knowledge.together import together


class FoundRow(msgspec.Struct, frozen=True):
    """A hit with the knowledge base that it comes from; `key` is that of its match."""

    key: str
    opened: OpenScope
    hit: Hit

    @property
    def scope(self) -> SearchScope:
        return self.opened.scope

    @property
    def name(self) -> str:
        """The same in every index and at any time, so that equal scores have one order."""
        return f"{self.scope.knowledge_base_id}/{self.hit.document_id}/{self.hit.chunk.chunk_id}"


class PlacedRows:
    """What has been read stays."""

    def __init__(self, placed: Mapping[str, Placed]) -> None:
        self._placed = placed
        self._rows: dict[str, FoundRow] = {}

    async def names(self) -> dict[str, str]:
        """Of all of them, by key."""
        return {row.key: row.name for row in await self.read(self._placed)}

    async def best(self, scores: Mapping[str, float], count: int) -> dict[str, FoundRow]:
        """By name the rows of the `count` best keys, and of those that are as good as the last of them.

        A chunk that a racing writer left twice counts once, with its better score.
        """
        found: dict[str, FoundRow] = {}
        left = dict(scores)
        while left and len(found) < count:
            keys = leading(left, count - len(found))
            for row in sorted(await self.read(keys), key=lambda row: -scores[row.key]):
                found.setdefault(row.name, row)
            for key in keys:
                del left[key]
        return found

    async def read(self, keys: Collection[str]) -> list[FoundRow]:
        """The rows of these keys, in their order."""
        missing: dict[OpenScope, list[Placed]] = {}
        for placed in (self._placed[key] for key in keys if key not in self._rows):
            missing.setdefault(placed.opened, []).append(placed)
        for rows in await together(_read(opened, placed) for opened, placed in missing.items()):
            self._rows |= {row.key: row for row in rows}
        return [self._rows[key] for key in keys]


async def _read(opened: OpenScope, placed: Iterable[Placed]) -> list[FoundRow]:
    wanted = list(placed)
    hits = await opened.reader.read([one.match for one in wanted])
    return [FoundRow(one.key, opened, hit) for one, hit in zip(wanted, hits, strict=True)]
