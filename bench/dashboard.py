"""The dashboard's picture: a real Prometheus scrapes a real service under traffic and answers the dashboard's queries.

    python bench/dashboard.py [--minutes 6] [--prometheus PATH] [--out docs/screenshots/dashboard.svg]

Needs the binary of Prometheus (on Debian: apt install prometheus). Tells each panel that got no answer, and exits 1
where a query is refused. It measures nothing: the traffic is what one person and a script would send.
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from bench.dashboard_plot import Series, Window, draw
from tests.servers.ports import free_ports_in_a_row
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

ROOT: Final = Path(__file__).resolve().parents[1]
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "millstream.json"
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yml"
PICTURE: Final = ROOT / "docs" / "screenshots" / "dashboard.svg"
SCRAPED_EVERY_S: Final = 2
RATE_INTERVAL: Final = f"{4 * SCRAPED_EVERY_S}s"
"""Grafana's $__rate_interval for that pace."""

POINTS: Final = 240
WORKERS: Final = 2
CALM_S: Final = 8.0
"""Between two bursts of uploads, so that curves have a shape."""

QUERIES: Final = ("flour grades", "面粉等级", "runner stone", "grain deliveries in spring", "石磨养护")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--prometheus", default=shutil.which("prometheus"))
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args()
    if options.prometheus is None:
        sys.exit("prometheus is not installed: apt install prometheus, or --prometheus PATH")
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="ms-dashboard-") as directory:
        first = free_ports_in_a_row(WORKERS + 3)
        with serving(Path(directory), first) as service, scraping(Path(directory), options.prometheus, service, first):
            begin_s = time.time()
            asyncio.run(traffic(service, begin_s + 60 * options.minutes))
            window = Window(begin_s, time.time())
            answers = asked(dashboard, f"http://127.0.0.1:{first + WORKERS + 2}", window)
    options.out.write_text(draw(dashboard, answers, window), encoding="utf-8")
    silent = [panel["title"] for panel in dashboard["panels"] if panel.get("targets") and not answers[panel["id"]]]
    print(
        f"{options.out}: {len(answers) - len(silent)} of {len(answers)} panels with data; without: {silent or 'none'}"
    )


@contextmanager
def serving(directory: Path, metrics_port: int) -> Iterator[ServiceProcess]:
    service = ServiceProcess(
        directory / "data",
        {
            "MILLSTREAM_WORKERS": str(WORKERS),
            "MILLSTREAM_EMBEDDING": "local",
            "MILLSTREAM_METRICS_PORT": str(metrics_port),
            "MILLSTREAM_OUTBOUND_ALLOW": "127.0.0.1/32",
        },
    )
    service.start()
    try:
        yield service
        service.stop()
    finally:
        service.end()


@contextmanager
def scraping(directory: Path, binary: str, service: ServiceProcess, first: int) -> Iterator[None]:
    """Prometheus, its rules loaded, scraping the installation and each process, as docs/observability.md has it."""
    port = first + WORKERS + 2
    processes = [f"127.0.0.1:{first + place}" for place in range(1, WORKERS + 2)]
    config = {
        "global": {"scrape_interval": f"{SCRAPED_EVERY_S}s", "evaluation_interval": f"{SCRAPED_EVERY_S}s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "millstream", "static_configs": [{"targets": [service.url.removeprefix("http://")]}]},
            {"job_name": "millstream-processes", "static_configs": [{"targets": processes}]},
        ],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        binary,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        poll(lambda: ready(f"http://127.0.0.1:{port}/-/ready"), "Prometheus is ready", 30)
        yield
    finally:
        process.terminate()
        process.wait(20)


def ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


async def traffic(service: ServiceProcess, until_s: float) -> None:
    """Bursts of real documents and of some that fail, a stream that listens, searches, and an address nobody serves."""
    async with httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False, timeout=60) as client:
        made = await client.post("/knowledge-bases", json={"name": "mill"})
        base = made.raise_for_status().json()["knowledge_base_id"]
        hook = {"url": "http://127.0.0.1:9/nobody", "events": ["task.finished"]}
        (await client.post("/webhooks", json=hook)).raise_for_status()
        async with listening(client):
            number = 0
            while time.time() < until_s:
                await asyncio.gather(uploaded(client, base, number), searched(client, base))
                number += 1
                await asyncio.sleep(CALM_S)


async def uploaded(client: httpx.AsyncClient, base: str, burst: int) -> None:
    """The samples, duplicates after the first burst, with notes that are new; each third has a broken file."""
    files = [("file", (path.name, path.read_bytes())) for path in sorted((ROOT / "samples").iterdir())]
    notes = [("file", (f"note-{burst}-{part}.md", note_of(burst, part))) for part in range(20)]
    broken = (
        [("file", (f"broken-{burst}.pdf", b"%PDF-1.7\nno objects " + str(burst).encode()))] if burst % 3 == 1 else []
    )
    (await client.post(f"/knowledge-bases/{base}/documents", files=[*files, *notes, *broken])).raise_for_status()


def note_of(burst: int, part: int) -> str:
    return f"# Shift {burst}.{part}\n\n" + f"Stone {part} ran {burst} hours. 第{part}号石磨运转{burst}小时。\n\n" * (
        10 + part
    )


async def searched(client: httpx.AsyncClient, base: str) -> None:
    for query in QUERIES * 4:
        (await client.post(f"/knowledge-bases/{base}/search", json={"query": query})).raise_for_status()


@asynccontextmanager
async def listening(client: httpx.AsyncClient) -> AsyncIterator[None]:
    async def listen() -> None:
        async with client.stream("GET", "/stream", timeout=None) as stream:
            stream.raise_for_status()
            async for _ in stream.aiter_bytes():
                pass

    listener = asyncio.create_task(listen())
    try:
        yield
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


def asked(dashboard: dict[str, Any], url: str, window: Window) -> dict[int, list[Series]]:
    """Each panel's queries over the window; exits where Prometheus refuses one."""
    step_s = max((window.end_s - window.begin_s) / POINTS, 1.0)
    answers: dict[int, list[Series]] = {}
    for panel in dashboard["panels"]:
        if not panel.get("targets"):
            continue
        answers[panel["id"]] = []
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            parameters = {"query": query, "start": window.begin_s, "end": window.end_s, "step": step_s}
            answer = httpx.get(f"{url}/api/v1/query_range", params=parameters, trust_env=False, timeout=30)
            if answer.status_code != 200:
                sys.exit(f"{panel['title']}: {answer.text}")
            results = answer.json()["data"]["result"]
            answers[panel["id"]] += [series_of(result, target.get("legendFormat", "")) for result in results]
    return answers


def series_of(result: dict[str, Any], legend: str) -> Series:
    labels: dict[str, str] = result["metric"]
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)
    points = [(at, float(value)) for at, value in result["values"] if value not in {"NaN", "+Inf", "-Inf"}]
    return Series(name or ", ".join(f"{key}={value}" for key, value in labels.items()) or "value", points)


if __name__ == "__main__":
    main()
