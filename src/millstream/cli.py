"""The command line. Heavy imports happen inside the commands: `millstream --help` has to be there at once."""

import sys

import click

from millstream.errors import ExitCode, Stop

_LAZY_COMMANDS = {
    "up": "millstream.commands.roles:up",
    "api": "millstream.commands.roles:api",
    "worker": "millstream.commands.roles:worker",
    "projector": "millstream.commands.roles:projector",
    "ingest": "millstream.commands.ingest:ingest",
    "search": "millstream.commands.client:search",
    "ask": "millstream.commands.ask:ask",
    "kb": "millstream.commands.knowledge_bases:kb",
    "documents": "millstream.commands.documents:documents",
    "tasks": "millstream.commands.client:tasks",
    "events": "millstream.commands.events:events",
    "cancel": "millstream.commands.control:cancel",
    "retry": "millstream.commands.control:retry",
    "dead": "millstream.commands.control:dead",
    "webhooks": "millstream.commands.webhooks:webhooks",
    "mcp": "millstream.commands.mcp:mcp",
    "replay": "millstream.commands.recovery:replay",
    "restore": "millstream.commands.recovery:restore",
    "archive": "millstream.commands.archive:archive",
    "keys": "millstream.commands.keys:keys",
    "collect": "millstream.commands.upkeep:collect",
    "reconcile": "millstream.commands.upkeep:reconcile",
    "doctor": "millstream.commands.operations:doctor",
    "top": "millstream.commands.top:top",
    "settings": "millstream.commands.operations:settings",
    "demo": "millstream.commands.demo:demo",
}

_SUMMARIES = {
    "up": "Start everything on this machine: Redis, API, projector, workers.",
    "api": "Start the API alone.",
    "worker": "Start a worker alone.",
    "projector": "Start the projector alone.",
    "ingest": "Send files, folders and URLs into a knowledge base.",
    "search": "Find passages in a knowledge base.",
    "ask": "Answer a question from a knowledge base.",
    "kb": "Make, show, change, delete and reindex knowledge bases.",
    "documents": "List, read, change and reprocess documents.",
    "tasks": "List tasks, or show one.",
    "events": "Show a task's history, or the task as it stood.",
    "cancel": "Give a task up, whether it waits or runs.",
    "retry": "Begin a task's failed documents again.",
    "dead": "List what failed, and begin it again by a query.",
    "webhooks": "Tell programs elsewhere; see what became of it.",
    "mcp": "Serve tools to an assistant over standard input.",
    "replay": "Rebuild, verify or show what follows from the log.",
    "archive": "Archive old facts now; list or verify segments.",
    "restore": "Bring an installation back whose Redis is gone.",
    "keys": "Make, list, revoke and rotate API keys.",
    "collect": "Delete blobs, uploads and rows that no document needs.",
    "reconcile": "Accept uploads again whose events Redis has lost.",
    "doctor": "Check each dependency and setting; say what to do.",
    "top": "Watch the flow of the mill: steps, queues, lag, workers.",
    "settings": "Print each setting with its origin; secrets masked.",
    "demo": "Show the whole way on the documents under samples/.",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is called, not when its name is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_LAZY_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's
        target = _LAZY_COMMANDS.get(cmd_name)
        if target is None:
            return None
        from importlib import import_module

        module, name = target.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="millstream")
def root() -> None:
    """Millstream turns uploaded documents into searchable knowledge.

    Settings come from MILLSTREAM_… variables or millstream.toml (see `millstream settings`).
    Exit codes: 0 done, 1 failed work, 2 usage, 3 cannot reach the server or a dependency,
    4 damaged archive, 78 configuration.
    """


def main() -> None:
    """The entry point: every expected trouble ends as one line on stderr and an exit code."""
    try:
        # Outside its standalone mode click does not raise a command's Exit but returns the code.
        sys.exit(root(standalone_mode=False) or ExitCode.DONE)
    except Stop as stop:
        _say(stop.what, stop.hint)
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(ExitCode.DONE)


def _say(what: str, hint: str) -> None:
    click.echo(f"millstream: {what}", err=True)
    if hint:
        click.echo(f"  -> {hint}", err=True)
