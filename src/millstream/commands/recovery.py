"""Commands that make anew what was lost: replay from the facts, restore from archive and blobs."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from domain.amounts import counted
from millstream.commands.output import as_json
from millstream.commands.upkeep import reconciled_lines
from millstream.errors import ExitCode, Stop
from millstream.settings import load_settings

if TYPE_CHECKING:
    from millstream.replay_wanted import Wanted
    from millstream.replaying import ReplayReport
    from projections.as_of import Moment

_PROJECTIONS = (
    *("views", "documents", "tasks", "knowledge_bases", "throughput"),
    *("inboxes", "timers", "dead_letters", "tallies", "digests"),
)
"""As `millstream.replay_wanted` knows them, which is too heavy for `--help`; a test compares the two."""

MEBIBYTE = 1_048_576


@click.command()
@click.option("--projection", type=click.Choice(_PROJECTIONS), help="Only this; without it everything.")
@click.option("--from", "source", type=click.Choice(["archive", "log"]), help="Read segments first, or none at all.")
@click.option("--verify", "verifies", is_flag=True, help="Change nothing; tell whatever is not as the log says.")
@click.option("--repair", "repairs", is_flag=True, help="With --verify: put right what is wrong.")
@click.option("--as-of", "as_of", help="Statuses and counters at a time (RFC 3339) or a position; changes nothing.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    help="Partitions folded at once; by default one a core where there are 100,000 events or more.",
)
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def replay(
    projection: str | None,
    source: str | None,
    verifies: bool,
    repairs: bool,
    as_of: str | None,
    is_dry_run: bool,
    processes: int | None,
    json: bool,
) -> None:
    """Rebuild views, inboxes, timers, dead letters, tallies, digests from the log; the service answers meanwhile.

    Exit codes: 0 done, 1 differences were found, 2 usage, 3 unreachable, 4 the archive is damaged.
    """
    from millstream.collecting import collect_seldom
    from millstream.replay_processes import processes_at_hand
    from millstream.replay_wanted import Source, Wanted
    from millstream.replaying import replay_all

    wanted = Wanted(
        projection=projection,
        source=None if source is None else Source(source),
        verifies=verifies,
        repairs=repairs,
        as_of=None if as_of is None else _moment(as_of),
        is_dry_run=is_dry_run,
        processes=processes,
    )
    _check(wanted)
    settings = load_settings().settings
    collect_seldom()
    with processes_at_hand(wanted) as at_hand:
        report = asyncio.run(replay_all(settings, wanted, at_hand, quiet=json))
    click.echo(as_json(report) if json else "\n".join(_lines(report, wanted)))
    if verifies and report.differences and not (repairs or is_dry_run):
        raise click.exceptions.Exit(ExitCode.FAILED_WORK)


@click.command()
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def restore(json: bool) -> None:
    """Bring an installation back into an empty Redis, from its archive and its blobs; no service may run meanwhile.

    Exit codes: 0 done, 1 failed work, 3 unreachable, 4 the archive is damaged (nothing was put), 78 configuration.
    """
    from millstream.restoring import restore as run

    report = asyncio.run(run(load_settings().settings, quiet=json))
    if json:
        click.echo(as_json(report))
        return
    click.echo(
        f"restored installation {report.installation_id}: {counted(report.events, 'event')} of "
        f"{counted(report.streams, 'stream')} from {counted(report.segments, 'segment')} in {report.seconds:.1f} s; "
        f"{report.pointers} pointers, timers, dead letters and tallies put"
    )
    click.echo("\n".join(reconciled_lines(report.uploads)))


def _moment(text: str) -> "Moment":
    from projections.as_of import parse_moment
    from projections.errors import InvalidMoment

    try:
        return parse_moment(text)
    except InvalidMoment as error:
        raise click.UsageError(f"--as-of: {error} is expected") from None


def _check(wanted: "Wanted") -> None:
    from millstream.replay_wanted import ONLY_TOGETHER

    if wanted.repairs and not wanted.verifies:
        raise click.UsageError("--repair goes with --verify")
    if wanted.as_of is not None and (wanted.verifies or wanted.projection is not None):
        raise click.UsageError(
            "--as-of shows everything and changes nothing: it takes neither --verify nor --projection"
        )
    if wanted.projection in ONLY_TOGETHER and (wanted.repairs or not wanted.verifies):
        raise Stop(
            f"{wanted.projection} cannot be rebuilt without the other views: they stand at one event and are swapped "
            "together, else readers would see a mixture",
            hint="use --projection views, or --verify to look at these alone",
            exit_code=ExitCode.USAGE,
        )


def _lines(report: "ReplayReport", wanted: "Wanted") -> list[str]:
    if wanted.is_dry_run:
        return _plan_lines(report, wanted)
    figures = (
        f"{counted(report.events, 'event')} of {counted(report.partitions, 'partition')} in {report.seconds:.1f} s "
        f"({report.events_per_s:,.0f} events/s, {report.peak_memory_bytes // MEBIBYTE:,} MiB at most)"
    )
    if report.statuses is not None:
        return [*_status_lines(report), f"folded {figures}"]
    differences = [
        f"{one.name}\n  is      {_value(one.one)}\n  should  {_value(one.other)}" for one in report.differences
    ]
    if wanted.verifies:
        count = len(report.differences)
        repaired = ", repaired" if wanted.repairs and count else ""
        return [*differences, f"verified {figures}; {count} difference{'' if count == 1 else 's'}{repaired}"]
    put = f"; {len(differences)} pointers, timers, dead letters, tallies or digests put" if wanted.kinds else ""
    live = f"; generation {report.generation} is live" if wanted.with_views else ""
    return [f"rebuilt {figures}{live}{put}"]


def _plan_lines(report: "ReplayReport", wanted: "Wanted") -> list[str]:
    what = wanted.projection or "views, inboxes, timers, dead letters, tallies and digests"
    if wanted.as_of is not None:
        done = "would be folded in memory; nothing would change"
    elif wanted.verifies:
        done = f"would be folded again and compared with {what}" + ("; what differs repaired" if wanted.repairs else "")
    else:
        done = f"would be folded anew: {what}"
    lines = [
        f"partition {one.partition:>3}  {counted(one.events, 'event'):>19}; "
        f"generation {one.generation} is at {one.projected:,}"
        for one in report.planned
    ]
    return [*lines, f"{counted(report.events, 'event')} of {counted(report.partitions, 'partition')} {done}"]


def _status_lines(report: "ReplayReport") -> list[str]:
    statuses = report.statuses
    assert statuses is not None  # noqa: S101  asked for by the caller
    lines = [f"documents        {_counts(statuses.documents)}", f"tasks            {_counts(statuses.tasks)}"]
    return lines + [
        f"knowledge base   {base.knowledge_base_id}  {base.name}: {_value(base.documents)}"
        for base in statuses.knowledge_bases
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "none"


def _value(value: object) -> str:
    import msgspec

    return "(nothing)" if value is None else msgspec.json.encode(value).decode()
