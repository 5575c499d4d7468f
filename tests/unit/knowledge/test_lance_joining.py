from knowledge.lance_joining import JOIN_ROWS_MAX, SmallWrites


def test_writes_in_a_row_are_due_once_they_are_many() -> None:
    small = SmallWrites(writes_min=3)
    for version in (5, 6, 7):
        assert not small.are_due
        small.added([f"doc_{version}"], 4, version=version)
    assert small.are_due
    assert small.documents == ["doc_5", "doc_6", "doc_7"]
    small.start_anew(8)
    assert (small.are_due, small.documents) == (False, [])
    small.added(["doc_9"], 1, version=9)
    assert small.documents == ["doc_9"]


def test_a_commit_of_anybody_else_in_between_begins_the_counting_anew() -> None:
    small = SmallWrites(writes_min=2)
    small.added(["a"], 1, version=5)
    small.added(["b"], 1, version=7)
    assert (small.documents, small.are_due) == (["b"], False)


def test_large_writes_are_left_as_they_are() -> None:
    small = SmallWrites(writes_min=2)
    small.added(["a"], 1, version=1)
    small.added(["large"], JOIN_ROWS_MAX, version=2)
    assert small.documents == ["large"]
    small.added(["b"], 1, version=3)
    assert small.documents == ["b"]
