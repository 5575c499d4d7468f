"""`millstream webhooks …`: who is told of what, and what became of the messages."""

import click

from millstream.client import Client
from millstream.client_webhooks import Webhooks
from millstream.commands.output import as_json, server_url
from webhooks.delivery import DeliveryState
from webhooks.event_names import EventName
from webhooks.shown import DeliveryDetail, DeliveryStatus, ShownWebhook, WebhookStatus

_EVENTS = click.Choice([name.value for name in EventName])
_STATES = click.Choice([state.value for state in DeliveryState])
_json = click.option("--json", "json", is_flag=True, help="Print JSON.")


@click.group()
def webhooks() -> None:
    """Programs elsewhere that are told what happens (docs/webhooks.md)."""


@webhooks.command("list")
@_json
@server_url
def list_webhooks(json: bool, url: str) -> None:
    """List them, newest first."""
    with Client(url) as client:
        found = Webhooks(client.http).all()
    click.echo(as_json(found) if json else "\n".join(map(_line, found)) or "no webhooks")


@webhooks.command()
@click.argument("endpoint")
@click.option("--event", "events", type=_EVENTS, multiple=True, help="Only these; may be repeated. Else all.")
@click.option("--kb", "names", multiple=True, help="Only about these knowledge bases, by name or id. Else all.")
@click.option("--description", default="", help="What it is for.")
@_json
@server_url
def create(
    endpoint: str, events: tuple[str, ...], names: tuple[str, ...], description: str, json: bool, url: str
) -> None:
    """Register ENDPOINT, a URL; its secret is printed this once."""
    with Client(url) as client:
        named = [client.knowledge_base(name).knowledge_base_id for name in names]
        shown = Webhooks(client.http).create(endpoint, events=events, knowledge_bases=named, description=description)
    _show_secret(shown, json=json)


@webhooks.command()
@click.argument("webhook_id")
@_json
@server_url
def show(webhook_id: str, json: bool, url: str) -> None:
    """Show one, without its secret."""
    with Client(url) as client:
        found = Webhooks(client.http).get(webhook_id)
    click.echo(as_json(found) if json else _lines(found))


@webhooks.command()
@click.argument("webhook_id")
@click.option("--endpoint", help="Another URL.")
@click.option("--event", "events", type=_EVENTS, multiple=True, help="Only these from now on; may be repeated.")
@click.option("--all-events", is_flag=True, help="All events from now on.")
@click.option("--description", help="What it is for.")
@click.option("--enable/--disable", "enabled", default=None, help="Begin or stop sending.")
@_json
@server_url
def update(
    webhook_id: str,
    endpoint: str | None,
    events: tuple[str, ...],
    all_events: bool,
    description: str | None,
    enabled: bool | None,
    json: bool,
    url: str,
) -> None:
    """Change one in what is given."""
    if events and all_events:
        raise click.UsageError("--event and --all-events exclude one another")
    given = {"url": endpoint, "events": list(events) or None, "description": description, "enabled": enabled}
    fields = {name: value for name, value in given.items() if value is not None}
    with Client(url) as client:
        changed = Webhooks(client.http).change(webhook_id, **fields, **({"events": None} if all_events else {}))
    click.echo(as_json(changed) if json else _lines(changed))


@webhooks.command()
@click.argument("webhook_id")
@server_url
def delete(webhook_id: str, url: str) -> None:
    """Delete one; nothing is sent to it any more."""
    with Client(url) as client:
        Webhooks(client.http).delete(webhook_id)
    click.echo(f"{webhook_id}  deleted")


@webhooks.command()
@click.argument("webhook_id")
@_json
@server_url
def rotate(webhook_id: str, json: bool, url: str) -> None:
    """Give one a new secret, printed this once; the one before signs too for a day."""
    with Client(url) as client:
        shown = Webhooks(client.http).rotate(webhook_id)
    _show_secret(shown, json=json)


@webhooks.command()
@click.argument("webhook_id")
@_json
@server_url
def test(webhook_id: str, json: bool, url: str) -> None:
    """Send a test message."""
    with Client(url) as client:
        sent = Webhooks(client.http).test(webhook_id)
    click.echo(as_json(sent) if json else _delivery_line(sent))


@webhooks.command()
@click.argument("webhook_id")
@click.argument("delivery_id", required=False)
@click.option("--status", type=_STATES, help="Only those.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@_json
@server_url
def deliveries(webhook_id: str, delivery_id: str | None, status: str | None, limit: int, json: bool, url: str) -> None:
    """List the newest deliveries of one, or show every attempt at DELIVERY_ID."""
    with Client(url) as client:
        calls = Webhooks(client.http)
        if delivery_id is not None:
            detail = calls.delivery(webhook_id, delivery_id)
            click.echo(as_json(detail) if json else _attempt_lines(detail))
            return
        found = calls.deliveries(webhook_id, status=status, limit=limit)
    click.echo(as_json(found) if json else "\n".join(map(_delivery_line, found)) or "no deliveries")


@webhooks.command()
@click.argument("webhook_id")
@click.argument("delivery_id", required=False)
@click.option("--since", help="All that failed since this time, like 2026-11-23T08:00:00Z.")
@_json
@server_url
def redeliver(webhook_id: str, delivery_id: str | None, since: str | None, json: bool, url: str) -> None:
    """Send DELIVERY_ID again, or all that failed since a time."""
    if (delivery_id is None) == (since is None):
        raise click.UsageError("name a delivery, or --since a time")
    with Client(url) as client:
        calls = Webhooks(client.http)
        if delivery_id is not None:
            again = calls.redeliver(webhook_id, delivery_id)
            click.echo(as_json(again) if json else _delivery_line(again))
            return
        done = calls.redeliver_since(webhook_id, since or "")
    click.echo(as_json(done) if json else f"deliveries due again: {done.redelivered:,}")
    if done.has_more:
        click.echo("more are left: run it again for those", err=True)


def _show_secret(shown: ShownWebhook, *, json: bool) -> None:
    if json:
        click.echo(as_json(shown))
        return
    click.echo(f"{_lines(shown)}\n  secret      {shown.secret or '(shown before)'}")
    click.echo("the secret is shown this once; keep it where the receiver finds it", err=True)


def _line(one: WebhookStatus) -> str:
    told = "all events" if one.events is None else ", ".join(one.events)
    return f"{one.webhook_id}  {one.status.value:<8}  {one.url}  {told}"


def _lines(one: WebhookStatus) -> str:
    reason = "" if one.disabled is None else f" ({one.disabled.reason.value}, {one.disabled.at:%Y-%m-%dT%H:%M:%SZ})"
    about = "all" if one.knowledge_bases is None else ", ".join(one.knowledge_bases)
    return "\n".join(
        (
            f"{one.webhook_id}  {one.status.value}{reason}",
            f"  endpoint    {one.url}",
            f"  events      {'all' if one.events is None else ', '.join(one.events)}",
            f"  about       {about}",
            f"  description {one.description}".rstrip(),
        )
    )


def _delivery_line(one: DeliveryStatus) -> str:
    last = one.last_attempt
    said = "-" if last is None else str(last.status_code or last.error)
    created = one.created_at.isoformat(timespec="seconds")
    line = f"{one.delivery_id}  {created}  {one.status.value:<9}  {one.attempts}x  {said}  {one.type}"
    return line if one.error is None else f"{line}  {one.error}"


def _attempt_lines(one: DeliveryDetail) -> str:
    attempts = (
        f"  {attempt.attempt:>3}  {attempt.at.isoformat(timespec='milliseconds')}  "
        f"{attempt.status_code or attempt.error}  {attempt.took_ms} ms  {attempt.detail or attempt.body}".rstrip()
        for attempt in one.history
    )
    return "\n".join((_delivery_line(one), *attempts))
