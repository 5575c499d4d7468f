"""Seeded bugs in the index on Qdrant: whose rows are found, whose are replaced, whose words count."""

from typing import Final

from tests.seeded_bugs.bug import Catch, Edit, SeededBug

TESTS: Final = "tests/integration/test_qdrant_index.py"

BUGS_OF_QDRANT: Final = (
    SeededBug(
        name="qdrant-tenants-mixed",
        flaw="Searches on a Qdrant server look into the rows of every knowledge base.",
        edits=(
            Edit(
                "src/knowledge/qdrant_collection.py",
                '[is_value("table", name_of(table)), *more]',
                "[*more]",
            ),
        ),
        caught_by=(
            Catch(f"{TESTS}::TestQdrantIndexInLocalMode::test_knowledge_bases_do_not_see_one_another", '== ["ours"]'),
        ),
    ),
    SeededBug(
        name="qdrant-rows-without-fences",
        flaw="A late writer replaces rows of a newer attempt on a Qdrant server.",
        edits=(
            Edit(
                "src/knowledge/qdrant_writer.py",
                "models.PointsList(points=points, update_filter=within(self._table, up_to(fence)))",
                "models.PointsList(points=points)",
            ),
        ),
        caught_by=(
            Catch(
                f"{TESTS}::test_a_late_writer_that_dies_replaces_nothing_is_not_found_and_is_swept_up",
                '== ["kept", "newer", "wheel"]',
            ),
        ),
    ),
    SeededBug(
        name="qdrant-words-of-all",
        flaw="What other knowledge bases hold on a Qdrant server changes, and tells by, the scores of this one.",
        edits=(
            Edit(
                "src/knowledge/qdrant_search.py",
                "models.SearchParams(idf=idf)",
                "models.SearchParams()",
            ),
        ),
        caught_by=(
            Catch(
                f"{TESTS}::test_words_score_by_the_formula_and_other_knowledge_bases_change_nothing",
                "await search_keyword(index, TABLE, query, limit=9) == hits",
            ),
        ),
    ),
)
