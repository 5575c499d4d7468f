"""Clients that hang up in the middle of an upload: fault F-27."""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.faults.checker import verdict
from tests.faults.documents import TEXT, blob_files, evidence_of, wait_until_ended
from tests.faults.history import History
from tests.faults.mill import Mill
from tests.faults.requests import multipart, send_part_of
from tests.faults.results import ROUNDS, recorded
from tests.waiting import poll

SHARES: Final = (0.0, 0.01, 0.5, 0.999, 1.0)
CONTENT: Final = f"<html><body><p>{TEXT}</p><!--{'x' * 3_000_000}--></body></html>".encode()
"""3 MB, of which the first is on the disk before the last has come; and little to embed."""


@pytest.mark.parametrize("resets", [True, False], ids=["RST", "FIN"])
def test_f27_an_upload_counts_whole_or_not_at_all(resets: bool, mill: Mill, history: History) -> None:
    kind = "RST" if resets else "FIN"
    with recorded("F-27", f"client hangs up with {kind}", "at 0, 1, 50, 99.9 and 100 % of the body") as row:
        for number in range(ROUNDS):
            for share in SHARES:
                kb, key = history.create(f"{kind} {number} {share}"), f"hang-up-{kind}-{number}-{share}"
                body, before = multipart("a.html", CONTENT), blob_files(mill)
                send_part_of(mill.url, kb, body, share=share, resets=resets, key=key)
                if share == 1.0 and not resets:
                    wait_for_one(history, kb)
                wait_for_nothing_left_over(mill, history, kb, before)
                found = documents(history, kb)
                assert len(found) <= (share == 1.0), "a part of a body is no document"
                # Whoever hung up does not know what became of it, and asks again under the same key.
                again = history.submit(kb, [("a.html", CONTENT)], key=key)
                assert set(found) <= set(again.document_ids)
                wait_until_ended(history, kb, again.document_ids)
                assert documents(history, kb) == list(again.document_ids)
                row.add({"hang_ups": 1, "documents_of_parts": len(found) if share < 1.0 else 0})
                row.add({f"accepted_at_{share:.1%}": len(found)} if share == 1.0 else {})
            kbs = list(evidence_of(mill).knowledge_bases)
            found_all = verdict(mill, history, *kbs).assert_clean()
            poll(lambda: list((mill.data_dir / "blobs" / ".tmp").iterdir()) == [], "no half-written file is left")
            assert found_all.unreferenced_blobs == 0
            row.tell(**found_all.figures, blobs_left=found_all.unreferenced_blobs)
        row.runs = ROUNDS * len(SHARES)


def documents(history: History, kb: str) -> list[str]:
    body = msgspec.json.decode(history.get(f"/knowledge-bases/{kb}/documents").body)
    return [one["document_id"] for one in body["data"]]


def wait_for_one(history: History, kb: str) -> None:
    poll(lambda: len(documents(history, kb)) == 1, "the whole upload is accepted")


def wait_for_nothing_left_over(mill: Mill, history: History, kb: str, before: set[Path]) -> None:
    """Every new file belongs to a document of this knowledge base; none is half-written."""

    def is_clean() -> bool:
        known = set(documents(history, kb))
        return all(known & set(path.parts) for path in blob_files(mill) - before)

    poll(is_clean, "nothing of the upload is left")
