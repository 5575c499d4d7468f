"""Commands for whoever runs the service: settings, doctor."""

import asyncio

import click
import msgspec

from millstream.commands.output import as_json
from millstream.errors import ExitCode, Stop
from millstream.setting_ranges import range_of
from millstream.settings import ENVIRONMENT_PREFIX, description_of, load_settings, shown_value


class _Row(msgspec.Struct):
    name: str
    value: object
    origin: str
    meaning: str
    range: str


@click.command()
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def settings(json: bool) -> None:
    """Print each setting with its value, where it came from, what it means and may be; secrets masked."""
    trouble: Stop | None = None
    try:
        loaded = load_settings()
    except Stop as stop:
        # Whoever mistyped a name needs the list most: the defaults are shown, and the trouble at the end.
        trouble, loaded = stop, load_settings({})
    rows = [
        _Row(
            f"{ENVIRONMENT_PREFIX}{name.upper()}",
            shown_value(loaded.settings, name),
            loaded.origins[name],
            description_of(name),
            range_of(name),
        )
        for name in loaded.settings.__struct_fields__
    ]
    click.echo(as_json(rows) if json else "\n".join(map(_lines, rows)))
    if trouble is not None:
        raise trouble


def _lines(row: _Row) -> str:
    value = "(empty)" if row.value == "" else row.value
    meaning = f"{row.meaning} ({row.range})" if row.range else row.meaning
    return f"{row.name:<40} {value!s:<24} {row.origin}\n{'':<40} {meaning}"


@click.command()
@click.option("--create-bucket", is_flag=True, help="Make the S3 bucket if it does not exist yet.")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
def doctor(create_bucket: bool, json: bool) -> None:
    """Check each dependency and setting, and say what to do about what is wrong."""
    from millstream.doctor import examine

    findings = asyncio.run(examine(load_settings().settings, create_bucket=create_bucket))
    if json:
        click.echo(as_json(findings))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.is_good else 'BAD '} {finding.subject:<14} {finding.detail}")
            if finding.advice:
                click.echo(f"{'':<20}-> {finding.advice}")
    if not all(finding.is_good for finding in findings):
        raise click.exceptions.Exit(ExitCode.UNREACHABLE)
