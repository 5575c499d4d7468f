"""deploy/kubernetes: valid by the schemas of Kubernetes, made of settings that exist, and nothing runs with more rights
than it needs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from millstream.cli import root
from millstream.guard import Guard
from millstream.settings import Settings, load_settings
from tests.architecture.schemas import checked, read_yaml

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
SCHEMA: Final = ROOT / "tests" / "data" / "kubernetes-1.34.json"
FILES: Final = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
OURS: Final = ("api", "worker", "projector")


def documents() -> list[dict[str, Any]]:
    return [one for path in FILES for one in read_yaml(path)]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The pods of everything that runs, by name."""
    return {name: one["spec"]["template"]["spec"] for kind in RUNNING for name, one in of_kind(kind).items()}


RUNNING: Final = ("Deployment", "StatefulSet")


BROKEN: Final[tuple[dict[str, Any], ...]] = (
    {"spec": {"replicas": "two"}},
    {"spec": {"replica": 2}},
    {"kind": "Deploiment"},
    {"apiVersion": 1},
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the checker says of our objects and of broken ones, by the names of their files: all in one run, of which
    nearly everything is spent on the schema itself."""
    folder = tmp_path_factory.mktemp("objects")
    projector = of_kind("Deployment")["projector"]
    objects = {f"{number}-{one['kind']}": one for number, one in enumerate(documents())}
    objects |= {f"broken-{number}": projector | broken for number, broken in enumerate(BROKEN)}
    for name, one in objects.items():
        (folder / f"{name}.json").write_text(json.dumps(one), encoding="utf-8")
    told = json.loads(checked("-vv", "--output-format", "json", "--schemafile", SCHEMA, *folder.iterdir()).output)
    assert told["parse_errors"] == []
    assert len(told["successes"]) + len({one["filename"] for one in told["errors"]}) == len(objects)
    return {Path(one["filename"]).stem: one["message"] for one in told["errors"]}


def test_every_object_is_valid_by_its_strict_schema(refused: dict[str, Any]) -> None:
    assert {name: why for name, why in refused.items() if not name.startswith("broken")} == {}


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_the_schema_refuses_what_kubernetes_would(number: int, refused: dict[str, Any]) -> None:
    assert f"broken-{number}" in refused


def test_the_whole_is_every_file() -> None:
    (whole,) = read_yaml(FOLDER / "kustomization.yaml")
    assert sorted(whole["resources"]) == [path.name for path in FILES]
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert whole["images"] == [{"name": "millstream", "newTag": version[1]}]


@pytest.mark.parametrize("name", OURS)
def test_each_role_is_one_of_ours_with_settings_that_are_taken(name: str) -> None:
    (container,) = pods()[name]["containers"]
    assert root.get_command(root.make_context("millstream", [*container["args"]], resilient_parsing=True), name)
    assert container["args"] == [name]
    shared = of_kind("ConfigMap")["millstream"]["data"]
    own = {one["name"]: one["value"] for one in container.get("env", ())}
    secret = {"MILLSTREAM_S3_ACCESS_KEY": "a", "MILLSTREAM_S3_SECRET_KEY": "b"}
    settings = load_settings(shared | secret | own).settings
    assert settings.auth == "keys", "an address beyond loopback is closed until there is a key"
    assert settings.blobs_url.startswith("s3://")
    assert settings.index_url.startswith("s3://")
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports["metrics"] == settings.metrics_port
    assert ports.get("http", settings.port) == settings.port
    annotations = of_kind("Deployment")[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(settings.metrics_port)


def test_no_secret_is_among_the_settings() -> None:
    from millstream.settings import MASK, shown_value

    shared = of_kind("ConfigMap")["millstream"]["data"]
    settings = load_settings(shared).settings
    assert [name for name in Settings.__struct_fields__ if shown_value(settings, name) == MASK] == []
    assert of_kind("Secret") == {}


@pytest.mark.parametrize("name", sorted(pods()))
def test_nothing_runs_as_root_writes_to_its_image_or_gains_rights(name: str) -> None:
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", OURS)
def test_a_role_is_watched_and_has_longer_to_stop_than_it_drains(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    waits_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] > waits_s + Settings().drain_s_max
    assert {"startupProbe", "livenessProbe"} <= set(container)
    assert name in of_kind("PodDisruptionBudget")


def test_what_serves_grpc_is_an_api_that_is_ready_by_its_own_health() -> None:
    from millstream.grpc.server import SERVICE

    (container,) = pods()["grpc"]["containers"]
    assert container["args"] == ["api"]
    shared = of_kind("ConfigMap")["millstream"]["data"]
    own = {one["name"]: one["value"] for one in container["env"]}
    settings = load_settings(shared | own).settings
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": settings.port, "grpc": settings.grpc_port, "metrics": settings.metrics_port}
    assert container["readinessProbe"]["grpc"] == {"port": settings.grpc_port, "service": SERVICE}
    (port,) = of_kind("Service")["grpc"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (settings.grpc_port, "grpc")
    assert settings.grpc_connection_s_max > 0, "a process that is new gets connections"
    waits_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pods()["grpc"]["terminationGracePeriodSeconds"] > waits_s + settings.drain_s_max
    assert {"startupProbe", "livenessProbe"} <= set(container)
    assert "grpc" in of_kind("PodDisruptionBudget")


def test_every_role_may_be_scraped_and_reach_redis_and_grpc_is_for_its_clients_alone() -> None:
    policies = of_kind("NetworkPolicy")
    ours = {*OURS, "grpc"}
    (scraped,) = policies["scrapes"]["spec"]["podSelector"]["matchExpressions"]
    ((peer,),) = [rule["from"] for rule in policies["redis-for-ours"]["spec"]["ingress"]]
    (reaching,) = peer["podSelector"]["matchExpressions"]
    assert set(scraped["values"]) == set(reaching["values"]) == ours
    reached = [name for name, one in policies.items() if {"port": "grpc"} in _ports_of(one)]
    assert reached == ["calls-over-grpc"]
    assert policies["calls-over-grpc"]["spec"]["podSelector"] == {"matchLabels": {"app": "grpc"}}


def _ports_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [port for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]]


async def test_the_guard_lets_probes_and_named_hosts_pass() -> None:
    allowed = of_kind("ConfigMap")["millstream"]["data"]["MILLSTREAM_ALLOWED_HOSTS"].split(",")
    asked: list[bytes] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append(dict(scope["headers"])[b"host"])

    hosts = [*allowed, *probe_hosts()]
    for host in hosts:
        scope = {"type": "http", "method": "GET", "path": "/readyz", "headers": [(b"host", host.encode())]}
        await Guard(app, allowed_hosts=allowed)(scope, None, None)  # type: ignore[arg-type]
    assert [host.decode() for host in asked] == hosts


def probe_hosts() -> Iterator[str]:
    (container,) = pods()["api"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (header,) = container[probe]["httpGet"]["httpHeaders"]
        assert header["name"] == "Host"
        yield header["value"]


def test_redis_keeps_every_fact() -> None:
    arguments = pods()["redis"]["containers"][0]["args"]
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert (given["--appendonly"], given["--appendfsync"], given["--maxmemory-policy"]) == (
        "yes",
        "always",
        "noeviction",
    )
    (claim,) = of_kind("StatefulSet")["redis"]["spec"]["volumeClaimTemplates"]
    (mount,) = pods()["redis"]["containers"][0]["volumeMounts"]
    assert (mount["name"], mount["mountPath"]) == (claim["metadata"]["name"], given["--dir"])


def test_each_selector_finds_pods_and_each_named_port_is_one_of_theirs() -> None:
    labels = {
        one["spec"]["template"]["metadata"]["labels"]["app"] for kind in RUNNING for one in of_kind(kind).values()
    }
    ports = {port["name"] for pod in pods().values() for one in pod["containers"] for port in one["ports"]}
    for service in of_kind("Service").values():
        assert service["spec"]["selector"]["app"] in labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for policy in of_kind("NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", ()):
            assert {port["port"] for port in rule["ports"]} <= ports
