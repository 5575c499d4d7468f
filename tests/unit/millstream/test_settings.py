"""Settings: where each comes from, which wins, and what is said about a wrong one."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import settings as settings_module
from millstream.errors import ExitCode, Stop
from millstream.settings import MASK, Settings, description_of, load_settings, shown_value
from millstream.supervisor import environment_of, worker_count

NAMES = Settings.__struct_fields__
SECRETS = ("s3_access_key", "s3_secret_key", "openai_api_key", "rerank_api_key", "llm_api_key")
RANGES = {
    "confirm_ms_max": (1, 4_000),
    "s3_metadata_bytes_max": (0, 1_400),
    "port": (0, 65_535),
    "metrics_port": (0, 65_000),
    "partitions": (0, 256),
    "grpc_port": (-1, 65_535),
    "grpc_message_bytes_max": (65_536, 1_073_741_824),
    "grpc_calls_max": (1, 100_000),
    "grpc_keepalive_s": (10, 7_200),
    "grpc_ping_s_min": (1, 7_200),
    "grpc_lease_s": (1, 3_600),
    "grpc_connection_s_max": (0, 86_400),
    "grpc_workers_max": (1, 1_000),
    "grpc_slots_max": (1, 1_024),
    "workers": (0, 64),
    "worker_niceness": (0, 19),
    "parse_processes": (1, 64),
    "through_bytes_max": (0, 16_777_216),
    "parse_cpu_s_max": (1, 3_600),
    "parse_wall_s_max": (1, 3_600),
    "archive_entries_max": (1, 100_000),
    "archive_depth_max": (0, 4),
    "ocr_page_s_max": (1, 600),
    "ocr_s_max": (1, 3_600),
    "drain_s_max": (1, 60),
    "orphan_grace_s": (1, 31_536_000),
    "index_vectors_rows_min": (1_000, 100_000_000),
    "index_cache_mb": (64, 1_000_000),
    "reconcile_age_s": (1, 3_600),
    "collect_interval_s": (1, 2_592_000),
    "s3_call_s_max": (1, 3_600),
    "qdrant_call_s_max": (1, 3_600),
    "lease_s": (1, 600),
    "retry_base_ms": (1, 60_000),
    "openai_embedding_dimensions": (1, 16_384),
    "llamaindex_dimensions": (0, 16_384),
    "files_max": (1, 1_000),
    "fetch_s_max": (1, 86_400),
    "import_items_max": (1, 999),
    "import_text_bytes_max": (1, 67_108_864),
    "embedding_call_s_max": (1, 3_600),
    "embedding_query_s_max": (1, 600),
    "search_wait_s_max": (1, 600),
    "rerank_call_s_max": (1, 600),
    "llm_call_s_max": (1, 3_600),
    "llm_context_tokens_max": (256, 1_000_000),
    "llm_answer_tokens_max": (16, 100_000),
    "embedding_rpm": (0, 10_000_000),
    "embedding_tpm": (0, 10_000_000_000),
    "header_bytes_max": (1_024, 1_048_576),
    "headers_max": (10, 10_000),
    "uri_bytes_max": (256, 65_536),
    "header_s_max": (1, 600),
    "keep_alive_s": (1, 3_600),
    "body_silence_s_max": (1, 3_600),
    "body_bytes_per_s_min": (0, 1_000_000_000),
    "json_body_s_max": (1, 3_600),
    "answer_silence_s_max": (1, 3_600),
    "connections_max": (0, 1_000_000),
    "resumable_expiry_s": (1, 31_536_000),
    "resumable_open_max": (1, 1_000_000),
    "resumable_piece_bytes": (1_024, 67_108_864),
    "webhooks_max": (0, 10_000),
    "webhook_retry_first_ms": (1, 60_000),
    "webhook_endpoint_concurrency_max": (1, 100),
    "webhook_concurrency_max": (1, 100),
    "webhook_pending_max": (1, 1_000_000),
    "webhook_deliveries_kept_max": (1, 10_000_000),
    "webhook_delivered_retention_s": (60, 31_536_000),
    "webhook_failed_retention_s": (60, 31_536_000),
    "webhook_failing_disable_s": (1, 31_536_000),
    "webhook_rotation_overlap_s": (0, 2_592_000),
    "task_retention_s": (0, 3_153_600_000),
    "archive_segment_events_max": (1_000, 1_000_000),
    "archive_after_s": (1, 31_536_000),
    "archive_retention_s": (0, 31_536_000),
    "auth_failures_per_minute_max": (0, 1_000_000),
    "keys_stale_s_max": (1, 86_400),
    "reads_per_minute_max": (0, 10_000_000),
    "searches_per_minute_max": (0, 10_000_000),
    "writes_per_minute_max": (0, 10_000_000),
    "open_calls_per_minute_max": (0, 10_000_000),
    "backlog_documents_max": (0, 1_000_000_000),
    "uploads_in_flight_max": (0, 100_000),
    "uploads_in_flight_per_key_max": (0, 100_000),
}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "millstream.toml"


def refusal(environment: dict[str, str], config_file: Path | None = None) -> Stop:
    with pytest.raises(Stop) as caught:
        load_settings(environment, config_file=config_file)
    return caught.value


@pytest.fixture(autouse=True)
def _nothing_to_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A millstream.toml in the folder of whoever runs the tests must not change them."""
    monkeypatch.chdir(tmp_path)


def test_without_anything_every_setting_is_its_default() -> None:
    loaded = load_settings({})
    assert loaded.settings == Settings()
    assert set(loaded.origins) == set(NAMES)
    assert set(loaded.origins.values()) == {"default"}


def test_a_variable_sets_a_setting_and_is_named_as_its_origin() -> None:
    loaded = load_settings({"MILLSTREAM_PORT": "9000", "PATH": "/bin"})
    assert loaded.settings.port == 9000
    assert loaded.origins["port"] == "MILLSTREAM_PORT"
    assert loaded.origins["host"] == "default"


def test_the_file_sets_a_setting_and_is_named_as_its_origin(config_file: Path) -> None:
    config_file.write_text('port = 9001\nembedding = "hash"\n')
    loaded = load_settings({}, config_file=config_file)
    assert (loaded.settings.port, loaded.settings.embedding) == (9001, "hash")
    assert loaded.origins["port"] == str(config_file)


def test_a_variable_wins_over_the_file(config_file: Path) -> None:
    config_file.write_text('port = 9001\nhost = "localhost"\n')
    loaded = load_settings({"MILLSTREAM_PORT": "9002"}, config_file=config_file)
    assert (loaded.settings.port, loaded.settings.host) == (9002, "localhost")
    assert (loaded.origins["port"], loaded.origins["host"]) == ("MILLSTREAM_PORT", str(config_file))


def test_the_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "millstream.toml").write_text("port = 9003\n")
    assert load_settings({}).settings.port == 9003


def test_a_variable_names_another_file(config_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("port = 9004\n")
    config_file.write_text("port = 9005\n")
    assert load_settings({"MILLSTREAM_CONFIG": str(other)}).settings.port == 9004


def test_a_file_that_was_named_has_to_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    for stop in (refusal({}, missing), refusal({"MILLSTREAM_CONFIG": str(missing)})):
        assert f"{missing} does not exist" in stop.what


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2\n"])
def test_a_file_that_cannot_be_read_is_refused_by_name(config_file: Path, content: bytes) -> None:
    config_file.write_bytes(content)
    stop = refusal({}, config_file)
    assert str(config_file) in stop.what
    assert stop.exit_code is ExitCode.CONFIGURATION


def test_everything_that_is_wrong_is_said_at_once(config_file: Path) -> None:
    config_file.write_text('bogus = 1\nworkers = 65\nlog_format = "xml"\n')
    stop = refusal({"MILLSTREAM_NO_SUCH": "1", "MILLSTREAM_PORT": "70000", "MILLSTREAM_DRAIN_S_MAX": "x"}, config_file)
    for part in ("'bogus'", "workers=65", "log_format='xml'", "MILLSTREAM_NO_SUCH", "port='70000'", "drain_s_max='x'"):
        assert part in stop.what
    assert stop.exit_code is ExitCode.CONFIGURATION
    assert "millstream settings" in stop.hint
    assert "\n" not in stop.what


def test_variables_that_are_no_settings_are_left_alone() -> None:
    loaded = load_settings({"MILLSTREAM_URL": "http://127.0.0.1:1", "MILLSTREAMER": "x", "millstream_port": "1"})
    assert loaded.settings == Settings()


@pytest.mark.parametrize(("name", "least", "most"), [(name, *ends) for name, ends in RANGES.items()])
def test_a_range_includes_both_ends_and_nothing_beyond(name: str, least: int, most: int) -> None:
    variable = f"MILLSTREAM_{name.upper()}"
    for value in (least, most):
        assert getattr(load_settings({variable: str(value)}).settings, name) == value
    for value in (least - 1, most + 1):
        assert variable in refusal({variable: str(value)}).what


@pytest.mark.parametrize("name", ["upload_bytes_max", "request_bytes_max"])
def test_a_size_is_at_least_a_byte(name: str) -> None:
    assert name in refusal({f"MILLSTREAM_{name.upper()}": "0"}).what


def test_an_empty_host_or_data_directory_is_refused() -> None:
    stop = refusal({"MILLSTREAM_HOST": "", "MILLSTREAM_DATA_DIR": ""})
    assert "MILLSTREAM_HOST" in stop.what
    assert "MILLSTREAM_DATA_DIR" in stop.what


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_switch_is_written_as_a_word_or_a_digit(text: str, value: bool) -> None:
    assert load_settings({"MILLSTREAM_OPEN_BEYOND_LOOPBACK": text}).settings.open_beyond_loopback is value


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_shows_neither_in_the_repr_nor_in_the_listing(name: str) -> None:
    settings = msgspec.structs.replace(Settings(), **{name: "very-secret"})
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in f"{settings!s}"
    assert shown_value(settings, name) == MASK
    assert shown_value(Settings(), name) == "", "an empty secret hides nothing"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_shows_in_no_error_message(name: str, config_file: Path) -> None:
    config_file.write_text(f'{name} = ["very-secret"]\nport = -1\n')
    stop = refusal({}, config_file)
    assert name in stop.what
    assert "very-secret" not in f"{stop.what}{stop.hint}"


def test_a_table_is_another_form_of_a_json_object(config_file: Path) -> None:
    config_file.write_text('[llamaindex_arguments]\nmodel_name = "m"\nembed_batch_size = 8\n')
    of_file = load_settings({}, config_file=config_file).settings.llamaindex_arguments
    of_variable = load_settings(
        {"MILLSTREAM_LLAMAINDEX_ARGUMENTS": '{ "model_name": "m", "embed_batch_size": 8 }'}
    ).settings.llamaindex_arguments
    assert (
        msgspec.json.decode(of_file) == msgspec.json.decode(of_variable) == {"model_name": "m", "embed_batch_size": 8}
    )


@pytest.mark.parametrize("text", ["very-secret", '["very-secret"]', '{"key": "very-secret"', '"very-secret"', "1"])
def test_what_is_no_json_object_is_refused_and_not_shown(text: str) -> None:
    stop = refusal({"MILLSTREAM_LLAMAINDEX_ARGUMENTS": text})
    assert "llamaindex_arguments" in stop.what
    assert "JSON object" in stop.what
    assert "very-secret" not in f"{stop.what}{stop.hint}"


def test_arguments_are_shown_by_name_with_every_text_masked() -> None:
    text = '{"api_key": "very-secret", "embed_batch_size": 8, "headers": {"X": ["very-secret"]}}'
    settings = load_settings({"MILLSTREAM_LLAMAINDEX_ARGUMENTS": text}).settings
    shown = shown_value(settings, "llamaindex_arguments")
    assert isinstance(shown, str)
    assert msgspec.json.decode(shown) == {"api_key": MASK, "embed_batch_size": 8, "headers": {"X": [MASK]}}
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hush@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("rediss://user:hush@cache/0", f"rediss://user:{MASK}@cache/0"),
        ("redis://user@cache", "redis://user@cache"),
        ("redis://cache:6379", "redis://cache:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("", ""),
    ],
)
def test_a_password_in_a_url_is_masked(url: str, shown: str) -> None:
    settings = msgspec.structs.replace(Settings(), redis_url=url)
    assert shown_value(settings, "redis_url") == shown
    assert "hush" not in repr(settings)


def test_every_setting_says_what_it_means() -> None:
    assert [name for name in NAMES if not description_of(name)] == []


def test_every_number_has_a_range_and_every_name_is_plain() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    numbers = {name: rules for name, rules in schema.items() if rules.get("type") == "integer"}
    assert [name for name, rules in numbers.items() if "minimum" not in rules] == []
    assert [name for name in NAMES if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


def test_the_settings_know_no_other_module_of_the_product_than_errors() -> None:
    """Every process imports them first: they have to be light."""
    tree = ast.parse(inspect.getsource(settings_module))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {module for module in imported if module.startswith("millstream")} == {
        "millstream.errors",
        "millstream.settings_observing",
    }


def values_of(name: str) -> st.SearchStrategy[Any]:
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
    match getattr(Settings(), name):
        case bool():
            return st.booleans()
        case float():
            return st.floats(0, 1)
        case int():
            least, most = RANGES.get(name, (268_435_456, 10**12))
            return st.integers(least, most)
        case _:
            choices = {
                "llamaindex_arguments": ["", '{"model_name":"m","embed_batch_size":8}'],
                "auth": ["auto", "keys", "open"],
                "ocr": ["auto", "off"],
                "confirm": ["primary", "replica"],
                "index_commits": ["auto", "redis"],
                "log_level": ["debug", "info", "warning", "error"],
                "log_format": ["auto", "json", "console"],
            }
            return st.sampled_from(choices[name]) if name in choices else text


@given(st.fixed_dictionaries({}, optional={name: values_of(name) for name in NAMES}))
def test_what_a_parent_decided_its_children_read(values: dict[str, Any]) -> None:
    settings = msgspec.structs.replace(Settings(), **values)
    assert load_settings(environment_of(settings)).settings == settings


def test_a_child_finds_every_setting_as_a_variable(config_file: Path) -> None:
    config_file.write_text("port = 1\n")
    loaded = load_settings(environment_of(Settings()), config_file=config_file)
    assert "default" not in loaded.origins.values()
    assert str(config_file) not in loaded.origins.values()


def test_the_number_of_workers_is_found_out_unless_it_is_set() -> None:
    assert 1 <= worker_count(Settings()) <= 4
    assert worker_count(Settings(workers=7)) == 7
