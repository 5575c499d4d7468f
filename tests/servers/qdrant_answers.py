"""A few answers of a Qdrant server: enough to be refused, not to be an index."""

from tests.servers.refusing_server import Said

NAME = "millstream-8"
THERE = Said(200, {"result": {"collections": [{"name": NAME}, {"name": "somebody-elses"}]}})
COUNT = f"/collections/{NAME}/points/count"
ONE_ROW = Said(200, {"result": {"count": 1}})


def version_of(version: str) -> Said:
    """What a server says of itself."""
    return Said(200, {"title": "qdrant", "version": version})


NEW = version_of("1.19.0")


def refusal(status: int, words: str, **headers: str) -> Said:
    return Said(
        status, {"status": {"error": words}}, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def opened() -> dict[str, list[Said]]:
    """A server with one collection, complete, with a row."""
    payload_schema = {
        field: {"data_type": "keyword", "points": 0}
        for field in (
            "table", "document_id", "vector_key", "values", "ordinal", "fence",
            "ordered[].field", "ordered[].number", "ordered[].head", "ordered[].next",
        )
    }  # fmt: skip
    config = {
        "params": {},
        "hnsw_config": {"m": 0, "ef_construct": 100, "full_scan_threshold": 10_000},
        "optimizer_config": {
            "deleted_threshold": 0.2, "vacuum_min_vector_number": 100, "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    }  # fmt: skip
    info = {
        "status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config,
        "payload_schema": payload_schema,
    }  # fmt: skip
    return {
        "/": [NEW],
        "/collections": [THERE],
        f"/collections/{NAME}/exists": [Said(200, {"result": {"exists": True}})],
        f"/collections/{NAME}": [Said(200, {"result": info})],
        COUNT: [ONE_ROW],
    }
