"""Commands of upkeep: collecting what nobody needs, accepting again what Redis has lost."""

import asyncio
from typing import TYPE_CHECKING

import click

from millstream.commands.output import as_json
from millstream.settings import load_settings

if TYPE_CHECKING:
    from ingest.reconcile import Reconciled


@click.command()
@click.option("--dry-run", is_flag=True, help="Count only, delete nothing.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def collect(dry_run: bool, json: bool) -> None:
    """Delete blobs without an event, abandoned uploads, and rows of documents that are gone.

    Only what is older than MILLSTREAM_ORPHAN_GRACE_S. A worker does the same every MILLSTREAM_COLLECT_INTERVAL_S.
    """
    from millstream.tidying import collect_now

    report = asyncio.run(collect_now(load_settings().settings, dry_run=dry_run))
    if json:
        click.echo(as_json(report))
        return
    found = report.collected
    verb = "would be deleted" if dry_run else "deleted"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(found.by_reason.items())) or "none"
    click.echo(f"{found.blobs:,} blobs of {found.documents:,} documents in {found.seconds:.1f} s")
    click.echo(f"{found.orphans:,} orphans {verb} ({found.orphan_bytes:,} bytes): {reasons}")
    pieces = report.pieces
    click.echo(
        f"{pieces.orphans:,} of {pieces.pieces:,} pieces of resumable uploads {verb} ({pieces.orphan_bytes:,} bytes)"
    )
    click.echo(f"{found.uploads_aborted:,} uploads in the making aborted")
    click.echo(
        f"{found.documents_unindexed:,} documents out of the index, {found.tables_dropped:,} tables dropped; {verb}"
    )
    if found.left or found.foreign or found.tables_left:
        click.echo(
            f"left alone: {found.left:,} documents and {found.tables_left:,} tables of knowledge bases that the log "
            f"does not know, {found.foreign:,} keys that are none of ours"
        )


@click.command()
@click.option("--dry-run", is_flag=True, help="Count only, accept nothing.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def reconcile(dry_run: bool, json: bool) -> None:
    """Accept uploads again whose events Redis has lost; their bytes and sidecars are in the blob store.

    A worker does the same where it notices a loss.
    """
    from millstream.tidying import reconcile_now

    found = asyncio.run(reconcile_now(load_settings().settings, dry_run=dry_run))
    if json:
        click.echo(as_json(found))
        return
    click.echo("\n".join(reconciled_lines(found)))


def reconciled_lines(found: "Reconciled") -> list[str]:
    """For a person."""
    verb = "would be accepted again" if found.dry_run else "accepted again"
    return [
        f"{found.sidecars:,} uploads looked at in {found.seconds:.1f} s",
        f"{found.documents_accepted:,} documents {verb}",
        *(f"{count:>8,} requests {what.replace('_', ' ')}" for what, count in sorted(found.tasks.items())),
    ]
