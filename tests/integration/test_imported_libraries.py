"""A process that needs a part of LlamaIndex and LanceDB loads that part; who needs all of it has all of it."""

import subprocess
import sys


def ended_well(program: str) -> bool:
    return subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_what_a_worker_imports_does_not_bring_the_rest_of_the_libraries() -> None:
    assert ended_well(
        "import sys, knowledge.llama_splitter, knowledge.lance_imports as lance; lance.import_match_query();"
        "spared = {'sqlalchemy', 'llama_index.core.indices', 'lance_namespace_urllib3_client.api'};"
        "sys.exit(bool(spared & set(sys.modules)))"
    )


def test_all_of_llama_index_is_there_after_its_splitter_for_who_asks_for_more() -> None:
    assert ended_well(
        "import knowledge.llama_splitter as ours; import knowledge.llama_chat, knowledge.llama_retriever;"
        "from llama_index.core.node_parser import SentenceSplitter, MarkdownNodeParser;"
        "from llama_index.core import Settings, VectorStoreIndex;"
        "assert SentenceSplitter is ours.SentenceSplitter"
    )


FORKING = """
import asyncio, os, threading, uvloop
from knowledge.lance_imports import import_lancedb

import_lancedb()
os.register_at_fork(after_in_child=lambda: os.write(1, b"%d threads" % threading.active_count()))

async def main():
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0

uvloop.run(main())
"""


def test_lancedb_does_nothing_in_a_child_that_is_about_to_become_another_program() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], check=False, timeout=60, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1 threads", b"")


ROLES = """
import sys
from millstream.lean_imports import import_lean

import_lean("structlog", "httpx", "httpcore", "redis.asyncio")
import millstream.api_server, millstream.bootstrap, millstream.roles

print(*sorted({"h2", "opentelemetry", "pygments", "rich"} & set(sys.modules)))
import h2, opentelemetry, pygments, rich
"""


def test_a_role_starts_without_what_its_libraries_would_import_beside_and_may_import_it_later() -> None:
    done = subprocess.run([sys.executable, "-c", ROLES], check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
