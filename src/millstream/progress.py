"""Progress bars in the terminal, one a document, fed by a task's stream of changes."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from domain.status import DocumentPhase, DocumentStatus, TaskStatus
from millstream.client import Client
from millstream.client_answers import DocumentChanged, TaskChanged, TaskEnded, TaskNews

BARS_MAX = 40
"""More documents than fit on a screen share one bar."""

_COLOURS = {
    DocumentPhase.COMPLETED: "green",
    DocumentPhase.SKIPPED: "green",
    DocumentPhase.FAILED: "red",
    DocumentPhase.CANCELLED: "yellow",
}


class TaskProgress:
    """Bars for the tasks that are being watched; off a terminal, a line for each document that ends."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=True),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[phase]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._documents: dict[str, TaskID] = {}
        self._ended: set[str] = set()

    def follow(self, news: Iterable[TaskNews]) -> TaskStatus | None:
        """Draws until the news ends; answers the task's last state."""
        last: TaskStatus | None = None
        with self._bars:
            overall: TaskID | None = None
            for one in news:
                match one:
                    case DocumentChanged(document):
                        self._draw(document)
                    case TaskChanged(task):
                        last = task
                        if task.documents.total > BARS_MAX:
                            overall = self._draw_overall(overall, task)
                    case TaskEnded():
                        break
        return last

    def _draw(self, document: DocumentStatus) -> None:
        colour = _COLOURS.get(document.status, "cyan")
        phase = f"[{colour}]{document.status.value}[/{colour}]"
        if document.error is not None:
            phase += f" {document.error.code}"
        if document.document_id not in self._documents and len(self._documents) < BARS_MAX:
            self._documents[document.document_id] = self._bars.add_task(_clip(document.filename), total=1.0, phase="")
        bar = self._documents.get(document.document_id)
        if bar is not None:
            self._bars.update(bar, completed=document.progress, phase=phase)
        self._say_once_ended(document)

    def _draw_overall(self, bar: TaskID | None, task: TaskStatus) -> TaskID:
        bar = self._bars.add_task("all documents", total=1.0, phase="") if bar is None else bar
        done = task.documents.total - task.documents.queued - task.documents.processing
        self._bars.update(bar, completed=task.progress, phase=f"{done} of {task.documents.total}")
        return bar

    def _say_once_ended(self, document: DocumentStatus) -> None:
        is_open = document.status not in {*_COLOURS, DocumentPhase.DELETED}
        if self.console.is_terminal or is_open or document.document_id in self._ended:
            return
        self._ended.add(document.document_id)
        reason = f"  {document.error.code}: {document.error.message}" if document.error else ""
        count = document.counts.chunks
        chunks = f"  {count:,} {'chunk' if count == 1 else 'chunks'}" if count else ""
        # One line each, however long: what is written to a file is searched and cut by lines.
        line = f"{document.status.value:<10} {document.filename}{chunks}{reason}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def follow_task(client: Client, task_id: str, *, quiet: bool) -> TaskStatus:
    """The task once it has ended; draws its documents meanwhile, unless `quiet`. Raises Stop."""
    if quiet:
        for _ in client.watch(task_id):
            pass
        return client.task(task_id)
    return TaskProgress().follow(client.watch(task_id)) or client.task(task_id)


def _clip(filename: str, width: int = 34) -> str:
    shown = filename if len(filename) <= width else f"{filename[: width - 9]}…{filename[-8:]}"
    return shown.replace("[", r"\[")
