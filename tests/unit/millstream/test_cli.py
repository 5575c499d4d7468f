"""The command line: help that is there at once, exit codes, and one line instead of a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from millstream.cli import main, root

COMMANDS = (
    *("up", "api", "worker", "projector", "ingest", "search", "ask", "kb", "documents", "tasks", "events"),
    *("cancel", "retry", "dead"),
    *("webhooks", "mcp", "replay", "restore", "archive", "keys", "collect", "reconcile", "doctor"),
    *("top", "settings", "demo"),
)
PRINTING = (
    "ingest",
    "search",
    "ask",
    "tasks",
    "cancel",
    "retry",
    "replay",
    "collect",
    "reconcile",
    "doctor",
    "top",
    "settings",
)
HEAVY = (
    "starlette",
    "uvicorn",
    "llama_index",
    "lancedb",
    "redis",
    "pyarrow",
    "numpy",
    "aioboto3",
    "xberg",
    "fast_use",
    "mcp",
    "agno",
)
CLOSED_PORT_URL = "http://127.0.0.1:1"


class Ended(NamedTuple):
    """What a shell sees of a command."""

    exit_code: object
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: str, **variables: str) -> Ended: ...


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the entry point in this process, in an empty folder and with no other settings than those given."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MILLSTREAM_")]:
        monkeypatch.delenv(name)

    def run_command(*arguments: str, **variables: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["millstream", *arguments])
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main()
        return Ended(left.value.code, *capsys.readouterr())

    return run_command


def assert_it_ends_in_a_line(ended: Ended, exit_code: int) -> None:
    assert ended.exit_code == exit_code, ended.stderr
    assert "Traceback" not in ended.stderr
    first, *rest = ended.stderr.splitlines()
    assert first.startswith("millstream: ")
    assert len(rest) <= 1
    assert all(line.startswith("  -> ") for line in rest)
    assert ended.stdout == ""


def test_the_listing_names_every_command_with_a_summary(run: Run) -> None:
    ended = run("--help")
    assert ended.exit_code == 0
    listed = [line.split() for line in ended.stdout.split("Commands:")[1].splitlines() if line.strip()]
    assert [words[0] for words in listed] == list(COMMANDS)
    assert all(len(words) > 2 for words in listed)


def test_help_of_every_command_imports_nothing_heavy() -> None:
    """In one process, one command after the other: what any of them imports shows at the end."""
    program = f"""
import sys
from click.testing import CliRunner
from millstream.cli import root
for arguments in [[], *([command] for command in {COMMANDS!r})]:
    ended = CliRunner().invoke(root, [*arguments, "--help"])
    assert ended.exit_code == 0, (arguments, ended.output)
    assert "Usage: " in ended.output, arguments
    print(" ".join(arguments), *sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r})))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [line.strip() for line in ended.stdout.splitlines()] == ["", *COMMANDS]


def test_the_version_is_the_package_s(run: Run) -> None:
    ended = run("--version")
    assert ended.exit_code == 0
    assert ended.stdout.strip().endswith("0.1.0")


@pytest.mark.parametrize("command", PRINTING)
def test_what_prints_also_prints_json(command: str) -> None:
    found = root.get_command(root.make_context("millstream", [command, "--help"], resilient_parsing=True), command)
    assert found is not None
    assert "--json" in {option for parameter in found.params for option in parameter.opts}


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["up", "--no-such-option"],
        ["up", "--port", "65536"],
        ["up", "--port", "x"],
        ["ingest"],
        ["ingest", "no-such-file", "--kb", "mill"],
        ["ingest", "."],
        ["search", "mill"],
        ["search", "mill", "query", "--mode", "psychic"],
        ["search", "mill", "query", "--top", "0"],
        ["demo", "--samples", "no-such-folder"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_on_stderr_with_exit_code_2(arguments: list[str], run: Run) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert "Usage: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_empty_folder_is_wrong_usage(run: Run) -> None:
    for arguments in (["ingest", str(Path.cwd()), "--kb", "mill"], ["demo", "--samples", str(Path.cwd())]):
        assert_it_ends_in_a_line(run(*arguments), 2)


@pytest.mark.parametrize(
    "arguments", [["search", "mill", "query"], ["ask", "mill", "why?"], ["tasks"], ["tasks", "task_1", "--watch"]]
)
def test_a_server_that_does_not_answer_ends_in_a_line_and_a_hint(arguments: list[str], run: Run) -> None:
    ended = run(*arguments, "--url", CLOSED_PORT_URL)
    assert_it_ends_in_a_line(ended, 3)
    assert CLOSED_PORT_URL in ended.stderr
    assert "millstream up" in ended.stderr


def test_the_server_is_named_by_a_variable_or_by_host_and_port(run: Run) -> None:
    assert CLOSED_PORT_URL in run("tasks", MILLSTREAM_URL=CLOSED_PORT_URL).stderr
    assert "http://[::1]:1 " in run("tasks", MILLSTREAM_HOST="::1", MILLSTREAM_PORT="1").stderr


def test_wrong_settings_end_every_service_command_with_78(run: Run) -> None:
    for command in ("up", "worker", "doctor"):
        ended = run(command, MILLSTREAM_PORTT="1", MILLSTREAM_WORKERS="many")
        assert_it_ends_in_a_line(ended, 78)
        assert "MILLSTREAM_PORTT" in ended.stderr
        assert "many" in ended.stderr


def test_whoever_mistyped_a_setting_is_shown_the_list(run: Run) -> None:
    ended = run("settings", MILLSTREAM_PORTT="1")
    assert ended.exit_code == 78
    assert "MILLSTREAM_PORTT" in ended.stderr
    assert "MILLSTREAM_PORT " in ended.stdout


@pytest.mark.parametrize("command", ["up", "api"])
def test_an_address_beyond_loopback_is_refused_without_keys(command: str, run: Run) -> None:
    ended = run(command, MILLSTREAM_HOST="0.0.0.0", MILLSTREAM_PORT="0")  # noqa: S104  refused, not bound
    assert_it_ends_in_a_line(ended, 78)
    assert "MILLSTREAM_OPEN_BEYOND_LOOPBACK" in ended.stderr
    assert list(Path.cwd().iterdir()) == []


def test_settings_are_printed_with_origin_and_meaning_and_without_secrets(run: Run) -> None:
    Path("millstream.toml").write_text("workers = 3\n")
    secret = {"MILLSTREAM_OPENAI_API_KEY": "sk-secret", "MILLSTREAM_REDIS_URL": "redis://:sk-secret@127.0.0.1:1"}
    ended = run("settings", "--json", MILLSTREAM_PORT="9000", **secret)
    assert ended.exit_code == 0
    rows = {row["name"]: row for row in json.loads(ended.stdout)}
    assert (rows["MILLSTREAM_PORT"]["value"], rows["MILLSTREAM_PORT"]["origin"]) == (9000, "MILLSTREAM_PORT")
    assert (rows["MILLSTREAM_WORKERS"]["value"], rows["MILLSTREAM_WORKERS"]["origin"]) == (3, "millstream.toml")
    assert rows["MILLSTREAM_HOST"]["origin"] == "default"
    assert all(row["meaning"] for row in rows.values())
    for_people = run("settings", MILLSTREAM_PORT="9000", **secret)
    assert "MILLSTREAM_OPENAI_API_KEY" in for_people.stdout
    assert "sk-secret" not in f"{ended.stdout}{ended.stderr}{for_people.stdout}{for_people.stderr}"
