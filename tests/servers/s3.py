"""The fixture `s3_server`; a test module asks for it with `pytest_plugins = ("tests.servers.s3",)`.

Types and functions come from `tests.servers.s3_gateway`: a plugin must not be imported before pytest does it.
"""

from collections.abc import Iterator

import pytest

from tests.servers.s3_gateway import S3Server, start_s3_server, stop_s3_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run one server for the session; tests keep apart by prefix."""
    process, server = start_s3_server(tmp_path_factory.mktemp("s3"))
    try:
        yield server
    finally:
        stop_s3_server(process)
