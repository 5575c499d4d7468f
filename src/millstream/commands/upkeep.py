"""Commands of upkeep: collecting what nobody needs, accepting again what Redis has lost."""

import asyncio
from typing import TYPE_CHECKING

import click

from domain.amounts import counted
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
    click.echo(f"{counted(found.blobs, 'blob')} of {counted(found.documents, 'document')} in {found.seconds:.1f} s")
    click.echo(f"{counted(found.orphans, 'orphan')} {verb} ({found.orphan_bytes:,} bytes): {reasons}")
    pieces = report.pieces
    click.echo(
        f"{pieces.orphans:,} of {counted(pieces.pieces, 'piece')} of resumable uploads {verb} "
        f"({pieces.orphan_bytes:,} bytes)"
    )
    click.echo(f"{counted(found.uploads_aborted, 'upload')} in the making aborted")
    click.echo(
        f"{counted(found.documents_unindexed, 'document')} out of the index, "
        f"{counted(found.tables_dropped, 'table')} dropped; {verb}"
    )
    if found.left or found.foreign or found.tables_left:
        click.echo(
            f"left alone: {counted(found.left, 'document')} and {counted(found.tables_left, 'table')} of "
            f"knowledge bases that the log does not know, {counted(found.foreign, 'key')} of others"
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
        f"{counted(found.sidecars, 'upload')} looked at in {found.seconds:.1f} s",
        f"{counted(found.documents_accepted, 'document')} {verb}",
        *(f"{count:>8,} requests {what.replace('_', ' ')}" for what, count in sorted(found.tasks.items())),
    ]
