"""Seeded bugs in what keeps work from being lost or done twice: log, inboxes, attempts, views, index."""

from typing import Final

from tests.seeded_bugs.bug import Catch, Edit, SeededBug

WORLDS: Final = "tests/simulation/test_single_faults.py::test_a_world_outlives_it"
INBOX: Final = "tests/contract/test_inbox_redis.py"
STEPS: Final = "tests/unit/processors/test_embed_and_index.py"
INDEX: Final = "tests/integration/test_lance_index.py::TestLanceIndex"
DECISIONS: Final = "tests/unit/domain/test_document_decide.py"
ARCHIVE: Final = "tests/contract/test_archive_redis.py::TestRedisAndDirectory"
LOG: Final = "tests/contract/test_event_log_redis.py::TestRedisLog"

BUGS_OF_WORK: Final = (
    SeededBug(
        name="acknowledged-first",
        flaw="A worker acknowledges before its result is in the index and the log; if it dies, the document is stuck.",
        edits=(
            Edit(
                "src/processors/attempt.py",
                "            outcome = await self._run()\n",
                "            await self._bench.inbox.acknowledge(self._delivery)\n"
                "            outcome = await self._run()\n",
            ),
        ),
        caught_by=(Catch(WORLDS, "and nothing points to it"),),
    ),
    SeededBug(
        name="group-from-now-on",
        flaw="A consumer group that is made anew begins at the end: what was waiting is never worked on.",
        edits=(
            Edit(
                "src/events/take.lua",
                "redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')",
                "redis.call('XGROUP', 'CREATE', key, group, '$', 'MKSTREAM')",
            ),
        ),
        caught_by=(
            Catch(f"{INBOX}::test_a_group_that_vanished_is_made_again_from_the_beginning", "assert [] == ['doc_"),
        ),
    ),
    SeededBug(
        name="no-fencing",
        flaw="The result of a worker that was taken for dead counts although another is at it.",
        edits=(
            Edit(
                "src/domain/document_decide.py",
                "isinstance(activity, Running) and activity.step == step and activity.attempt == attempt",
                "isinstance(activity, Running) and activity.step == step",
            ),
        ),
        caught_by=(
            Catch(
                f"{DECISIONS}::test_a_zombies_result_is_not_recorded_once_another_worker_has_taken_over", "then_nothing"
            ),
            Catch(f"{DECISIONS}::test_a_zombies_batch_is_not_recorded", "then_nothing"),
            Catch(WORLDS, " has a result for doc_"),
        ),
    ),
    SeededBug(
        name="attempts-write-unfenced",
        flaw="The index step writes its rows as if there were no other attempts: a zombie replaces newer ones.",
        edits=(Edit("src/processors/index.py", "rows, fence=work.fence)", "rows, fence=0)"),),
        caught_by=(
            Catch(f"{STEPS}::test_a_late_writer_leaves_the_rows_that_are_due", "index.vectors"),
            Catch(f"{STEPS}::test_a_late_eraser_leaves_the_rows_of_a_newer_attempt", "assert 0 == 10"),
        ),
    ),
    SeededBug(
        name="index-without-fences",
        flaw="The index forgets which attempt wrote a row: rows of an older one take the place of newer ones.",
        edits=(
            Edit("src/knowledge/lance_index.py", "Upsert(document_id, rows, fence)", "Upsert(document_id, rows, 0)"),
        ),
        caught_by=(Catch(f"{INDEX}::test_older_rows_never_take_the_place_of_newer_ones", "DID NOT RAISE Overtaken"),),
    ),
    SeededBug(
        name="appended-at-any-version",
        flaw="An append takes any version for the one that it expects, so one that is sent again enters again.",
        edits=(
            Edit(
                "src/events/append.lua",
                "expected = expected, count = count",
                "expected = tonumber(version or 0), count = count",
            ),
        ),
        caught_by=(
            Catch(f"{LOG}::test_a_repeated_append_answers_as_the_first_time_and_writes_nothing", "is_repeat=True"),
        ),
    ),
    SeededBug(
        name="event-before-blob",
        flaw="The store says yes before the bytes are there: an accepted upload may have none.",
        edits=(
            Edit(
                "src/blobs/writer.py",
                "        await self._sink.finish(self._take_rest(), ref.sha256, metadata)\n",
                "        late = self._sink.finish(self._take_rest(), ref.sha256, metadata)\n"
                "        self._late = asyncio.ensure_future(late)\n",
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_upload_order.py::test_what_cannot_be_stored_is_in_no_event", "assert 202 == 503"
            ),
        ),
    ),
    SeededBug(
        name="event-before-sidecar",
        flaw="An upload is in the log before its sidecar is stored: after a lost log it cannot be accepted again.",
        edits=(
            Edit(
                "src/ingest/sidecars.py",
                "        await both_of(unclaimed.put(*encoded[0]), _commit(last, carried))\n",
                "        asyncio.ensure_future(unclaimed.put(*encoded[0]))\n        await _commit(last, carried)\n",
            ),
        ),
        caught_by=(
            Catch(
                "tests/integration/test_upload_order.py::test_what_cannot_be_stored_is_in_no_event", "assert 202 == 503"
            ),
        ),
    ),
    SeededBug(
        name="checkpoint-before-rows",
        flaw="The projector moves its checkpoint before the rows: if it dies between, they are never written.",
        edits=(
            Edit(
                "src/projections/writer.py",
                "        failpoint(Place.PROJECTOR_FOLDED)\n",
                "        empty = msgspec.structs.replace(commit, rows={}, indexes=(), changes=())\n"
                "        if not await self._views.commit(empty):\n"
                "            return False\n"
                "        moved = msgspec.structs.replace(self._lease, checkpoint=checkpoint)\n"
                "        commit = msgspec.structs.replace(commit, lease=moved)\n"
                "        failpoint(Place.PROJECTOR_FOLDED)\n",
            ),
            Edit(
                "src/projections/memory_views.py",
                "        if place == _place(commit.checkpoint):\n",
                "        if place == _place(commit.checkpoint) and not commit.rows:\n",
            ),
            Edit(
                "src/projections/commit.lua", "if position == ARGV[3] and retired == ARGV[14] then return 1 end\n", ""
            ),
        ),
        caught_by=(Catch(WORLDS, "is not the fold of the log"),),
    ),
    SeededBug(
        name="inboxes-outrun-by-trim",
        flaw="The log is trimmed without a look at the inboxes: work that waits, or is in hand, loses its events.",
        edits=(
            Edit(
                "src/events/redis_archive.py",
                "        for inbox, place in await self._oldest_in_inboxes(partition):\n",
                "        for inbox, place in await self._oldest_in_inboxes(partition) and []:\n",
            ),
        ),
        caught_by=(Catch(f"{ARCHIVE}::test_what_waits_in_an_inbox_stays_in_the_log_with_all_that_follows", "held_by"),),
    ),
    SeededBug(
        name="pending-forgotten",
        flaw="A dead worker is taken out of the group with what it still holds: those documents wait for ever.",
        edits=(
            Edit(
                "src/events/claim.lua",
                "if #redis.call('XPENDING', key, group, '-', '+', 1, name) == 0 then",
                "if true then",
            ),
        ),
        caught_by=(
            Catch(
                f"{INBOX}::test_a_dead_consumer_without_deliveries_is_taken_out_and_one_with_deliveries_is_not",
                "assert {'b': 2} ==",
            ),
            Catch(
                f"{INBOX}::TestRedisInbox::test_a_claim_never_exceeds_its_count_and_keeps_the_order_of_the_inboxes",
                "wanted[4:]",
            ),
        ),
    ),
)
