"""compose.yaml and the Dockerfile: valid, made of settings that exist, watched, and installed from the lock files."""

import re
from pathlib import Path
from typing import Any

import pytest

from millstream.cli import root
from millstream.qdrant_location import qdrant_of
from millstream.settings import Settings, load_settings
from tests.architecture.schemas import checked, read_yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
ONE_SHOT = {"bucket"}
"""Services that end when their work is done; what waits for them says service_completed_successfully."""


def services() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(COMPOSE)[0]["services"]
    return found


def own_services() -> dict[str, Any]:
    return {name: service for name, service in services().items() if service["image"].startswith("millstream:")}


def of_profile(profile: str) -> dict[str, Any]:
    return {name: service for name, service in services().items() if service["profiles"] == [profile]}


def dockerfile_lines() -> list[str]:
    return DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def test_the_file_is_valid_by_the_compose_specification() -> None:
    told = checked("--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert told.exit_code == 0, told.output


def test_every_variable_of_ours_is_a_setting() -> None:
    text = COMPOSE.read_text(encoding="utf-8") + DOCKERFILE.read_text(encoding="utf-8")
    named = set(re.findall(r"\bMILLSTREAM_([A-Z0-9_]+)", text))
    assert named
    assert {name.lower() for name in named} - set(Settings.__struct_fields__) == set()


def test_each_service_belongs_to_one_size_and_waits_for_none_of_the_other() -> None:
    small, scaled, qdrant = of_profile("small"), of_profile("scaled"), of_profile("qdrant")
    assert small.keys() | scaled.keys() | qdrant.keys() == services().keys()
    assert list(small) == ["small"]
    assert list(qdrant) == ["qdrant"]
    for service in scaled.values():
        assert set(service.get("depends_on", {})) <= scaled.keys()


def test_the_small_one_needs_nothing_beside_it_and_keeps_its_data() -> None:
    (service,) = of_profile("small").values()
    settings = load_settings(
        {key: without_interpolation(value) for key, value in service["environment"].items()}
    ).settings
    assert (settings.redis_url, settings.blobs_url, settings.index_url) == ("", "", "")
    assert service["command"] == ["up"]
    assert service["volumes"] == [f"data:{settings.data_dir}"]


@pytest.mark.parametrize("name", sorted(own_services().keys() & of_profile("scaled").keys()))
def test_the_environment_of_each_service_is_taken_by_the_settings(name: str) -> None:
    environment = {key: without_interpolation(value) for key, value in own_services()[name]["environment"].items()}
    settings = load_settings(environment).settings
    assert settings.redis_url == "redis://redis:6379/0"
    assert settings.blobs_url.startswith("s3://")
    assert settings.s3_secret_key
    assert settings.log_format == "json"


def test_the_published_ports_are_those_the_api_listens_on_and_loopback_alone() -> None:
    for profile, name in (("small", "small"), ("scaled", "api")):
        api = of_profile(profile)[name]
        port = api["environment"]["MILLSTREAM_PORT"]
        grpc_port = api["environment"]["MILLSTREAM_GRPC_PORT"]
        assert api["ports"] == [f"127.0.0.1:{one}:{one}" for one in (port, grpc_port)]
        assert f":{port}/readyz" in api["healthcheck"]["test"][-1]
        assert all("ports" not in one for other, one in of_profile(profile).items() if other != name)


@pytest.mark.parametrize("name", sorted(services()))
def test_every_service_is_watched_or_ends_by_itself(name: str) -> None:
    service = services()[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])


def test_each_service_waits_for_what_it_needs_in_the_way_that_it_can() -> None:
    for service in services().values():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}


def test_the_commands_are_ours_and_all_roles_are_there() -> None:
    commands = {name: service["command"] for name, service in own_services().items()}
    assert {"api", "worker", "projector"} <= {command[0] for command in commands.values()}
    for name, command in commands.items():
        found = root.get_command(root.make_context("millstream", [*command], resilient_parsing=True), command[0])
        assert found is not None, name
        options = {option for parameter in found.params for option in parameter.opts}
        assert set(command[1:]) <= options, name


def test_a_role_has_longer_to_stop_than_it_takes_to_drain() -> None:
    for name, service in own_services().items():
        seconds = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
        assert seconds is not None, name
        assert int(seconds[1]) > Settings().drain_s_max


def test_the_scaled_one_asks_the_qdrant_server_beside_it_where_it_is_told_to() -> None:
    api, server = of_profile("scaled")["api"], services()["qdrant"]
    told = {**api["environment"], "MILLSTREAM_INDEX_URL": "qdrant+http://qdrant:6333"}
    settings = load_settings({key: without_interpolation(value) for key, value in told.items()}).settings
    place = qdrant_of(settings.index_url)
    assert place.url == "http://qdrant:6333"
    assert settings.qdrant_api_key == without_interpolation(server["environment"]["QDRANT__SERVICE__API_KEY"]) != ""
    assert api["build"]["args"] == {"WITH_QDRANT": "${WITH_QDRANT:-}"}
    version = tuple(int(part) for part in server["image"].rpartition(":v")[2].split("."))
    assert version >= qdrant_version_min()
    assert any("requirements/qdrant.txt" in line for line in dockerfile_lines() if "WITH_QDRANT" in line)


def qdrant_version_min() -> tuple[int, ...]:
    """By reading: the module imports the client, which takes a second."""
    text = (ROOT / "src" / "knowledge" / "qdrant_collections.py").read_text(encoding="utf-8")
    (numbers,) = re.findall(r"^SERVER_VERSION_MIN: Final = \(([\d, ]+)\)$", text, re.MULTILINE)
    return tuple(int(number) for number in numbers.split(","))


def test_redis_keeps_every_fact() -> None:
    command = services()["redis"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given == {
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--maxmemory-policy": "noeviction",
        "--save": "",
    }
    assert services()["redis"]["volumes"] == ["redis:/data"]


def test_images_are_pinned_and_data_lie_on_named_volumes() -> None:
    declared = read_yaml(COMPOSE)[0]["volumes"]
    for name, service in services().items():
        _, _, tag = service["image"].rpartition(":")
        assert tag, name
        assert name in own_services() or tag != "latest", name
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(declared), name


def test_the_image_is_installed_from_the_lock_files_with_hashes() -> None:
    installs = [line for line in dockerfile_lines() if re.search(r"\bpip install\b", line)]
    assert installs
    for line in installs:
        is_locked = "--require-hashes" in line and "-r requirements/runtime.txt" in line
        is_our_own = "--no-deps" in line and "--no-build-isolation" in line and line.rstrip().endswith(" .")
        assert is_locked or is_our_own, line
    assert any("-r requirements/build.txt" in line for line in installs)
    copied = " ".join(line for line in dockerfile_lines() if line.startswith("COPY requirements"))
    for name in set(re.findall(r"requirements/\w+\.txt", " ".join(installs))):
        assert name in copied
        assert (ROOT / name).is_file()


def test_the_image_installs_what_make_installs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements/build.txt -r requirements/runtime.txt" in makefile
    assert any(
        "--require-hashes -r requirements/build.txt -r requirements/runtime.txt" in line for line in dockerfile_lines()
    )


def test_the_image_copies_what_the_build_reads_and_runs_as_nobody_special() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    for line in (line for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line):
        for source in line.split()[1:-1]:
            assert (ROOT / source).exists(), source
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users
    assert users[-1] not in {"root", "0"}
    assert 'ENTRYPOINT ["millstream"]' in text
    assert "STOPSIGNAL SIGTERM" in text


def without_interpolation(value: object) -> str:
    """`${NAME:-default}` as it is where NAME is not set."""
    return re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", str(value))
