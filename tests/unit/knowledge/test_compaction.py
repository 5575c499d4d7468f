from knowledge.compaction import ROWS_MIN, WRITES_MAX, WRITES_MIN, Compaction


def writes_until_due(compaction: Compaction, rows: int) -> int:
    return next(number for number in range(1, 100_000) if compaction.wrote(rows))


def test_many_small_writes_are_due() -> None:
    assert writes_until_due(Compaction(), rows=1) == WRITES_MIN


def test_few_large_writes_are_due() -> None:
    assert writes_until_due(Compaction(), rows=250) == ROWS_MIN // 250


def test_a_large_table_waits_for_a_share_of_itself() -> None:
    compaction = Compaction()
    compaction.compacted(100_000)
    assert writes_until_due(compaction, rows=1) == 125
    compaction.compacted(100_000)
    assert writes_until_due(compaction, rows=100) == 100


def test_the_files_that_a_search_has_to_open_have_an_end() -> None:
    compaction = Compaction()
    compaction.compacted(10_000_000)
    assert writes_until_due(compaction, rows=1) == WRITES_MAX


def test_counting_starts_again_after_compacting() -> None:
    compaction = Compaction(writes_min=3)
    assert [compaction.wrote(0) for _ in range(3)] == [False, False, True]
    compaction.compacted(10)
    assert [compaction.wrote(0) for _ in range(3)] == [False, False, True]
