"""How many connections a process has open, and which of them gives way when there are too many.

A thousand clients that send half a head each cost nothing but the file descriptors that nobody else gets then. So a
connection that waits for its client, the one that has waited longest first, is closed for the sake of a new one: an
honest head is whole within milliseconds, and an idle client connects anew.
"""

from typing import Final, Protocol

TURNED_AWAY_MAX: Final = 64
"""So many may be told at a time that there is no room; whoever comes on top is cut off."""


class Waiting(Protocol):
    """A connection, as far as this module is concerned."""

    def give_way(self) -> None:
        """Closes at once. Called while nothing of a request is under way."""


class Crowd:
    """The connections of one process."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._open: set[Waiting] = set()
        self._waiting: dict[Waiting, None] = {}
        self._turned_away: set[Waiting] = set()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: Waiting) -> bool:
        """Whether there is room, made by closing the one that has waited longest where necessary."""
        if len(self._open) >= self._connections_max:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.give_way()
        self._open.add(connection)
        return True

    def turn_away(self, connection: Waiting) -> bool:
        """Whether a connection that found no room may stay for as long as it takes to tell it."""
        if len(self._turned_away) >= TURNED_AWAY_MAX:
            return False
        self._turned_away.add(connection)
        return True

    def leave(self, connection: Waiting) -> None:
        """The connection is closed. Once is enough, twice does no harm."""
        self._open.discard(connection)
        self._turned_away.discard(connection)
        self._waiting.pop(connection, None)

    def waits(self, connection: Waiting) -> None:
        """From now on it waits for its client: for the first byte of a head, or for its last."""
        if connection in self._open:
            self._waiting[connection] = None

    def works(self, connection: Waiting) -> None:
        """A request has come; it is not disturbed any more."""
        self._waiting.pop(connection, None)
