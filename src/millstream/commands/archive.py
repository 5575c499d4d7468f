"""Commands of the archive: now, list, verify."""

import asyncio

import click

from domain.amounts import counted
from millstream.commands.output import as_json
from millstream.errors import ExitCode
from millstream.settings import load_settings


@click.group()
def archive() -> None:
    """Old facts in verified segments of the blob store; the projector keeps it by itself."""


@archive.command()
@click.option("--trim", "trims", is_flag=True, help="Let what is archived leave the log at once, however young.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def now(trims: bool, json: bool) -> None:
    """Archive everything that is in the log, whatever its age; the service goes on all the while."""
    from millstream.archiving import archive_now
    from millstream.process_name import process_name

    done = asyncio.run(archive_now(load_settings().settings, holder=process_name("archive"), trims=trims))
    if json:
        click.echo(as_json(done))
        return
    events, segments, trimmed = (sum(getattr(one, name) for one in done) for name in ("events", "segments", "trimmed"))
    click.echo(f"archived {counted(events, 'event')} in {counted(segments, 'segment')}; {trimmed:,} left the log")
    for one in done:
        if one.held_by not in ("", "retention"):
            click.echo(f"partition {one.partition}: {one.held_by} keeps the log from being trimmed further")


@archive.command(name="list")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def list_command(json: bool) -> None:
    """List the segments that the manifest names."""
    from millstream.archiving import list_segments

    segments = asyncio.run(list_segments(load_settings().settings))
    if json:
        click.echo(as_json(segments))
        return
    for one in segments:
        click.echo(f"{one.key}  {counted(one.count, 'event'):>16}  {one.size_bytes:>12,} bytes  {one.digest[:16]}")
    events, size_bytes = sum(one.count for one in segments), sum(one.size_bytes for one in segments)
    click.echo(f"{counted(len(segments), 'segment')}, {counted(events, 'event')}, {size_bytes:,} bytes")


@archive.command()
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def verify(json: bool) -> None:
    """Read every byte of every segment and check the chain between them; changes nothing.

    Exit codes: 0 sound, 3 unreachable, 4 damaged: each damage is named with its segment, offset and event.
    """
    from millstream.archiving import verify_archive

    found = asyncio.run(verify_archive(load_settings().settings, quiet=json))
    if json:
        click.echo(as_json(found))
    else:
        for damage in found.damages:
            click.echo(f"damaged: {damage}")
        verdict = counted(len(found.damages), "damage") if found.damages else "sound"
        click.echo(f"{counted(found.segments, 'segment')} with {counted(found.events, 'event')} read: {verdict}")
    if found.damages:
        raise click.exceptions.Exit(ExitCode.DAMAGED)
