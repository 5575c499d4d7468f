"""Two generations of views compared byte by byte; both must stand still meanwhile."""

from collections.abc import Mapping

from projections.progress import Difference
from projections.projection import TABLES
from projections.views import ViewStore


async def compare(views: ViewStore, partition: int, one: int, other: int) -> list[Difference]:
    """Row by row and list by list."""
    differences: list[Difference] = []
    for table in TABLES:
        left = {row_id: row async for row_id, row in views.scan_rows(partition, one, table)}
        right = {row_id: row async for row_id, row in views.scan_rows(partition, other, table)}
        differences += _unequal(f"{table.name}/", left, right)
    lists_left = {index: members async for index, members in views.scan_indexes(partition, one)}
    lists_right = {index: members async for index, members in views.scan_indexes(partition, other)}
    return differences + _unequal("", lists_left, lists_right)


def _unequal(prefix: str, one: Mapping[str, object], other: Mapping[str, object]) -> list[Difference]:
    names = sorted(one.keys() | other.keys())
    return [
        Difference(prefix + name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    ]
