"""Names in a table."""

from collections.abc import Mapping, Sequence

from outbound.errors import Unresolvable


class MemoryResolver:
    """Answers from a table: the reference, and the resolver of tests. A name may be given other answers meanwhile."""

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    async def resolve(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        answer = self.answers.get(name)
        if not answer:
            raise Unresolvable(f"{name} has no address")
        return answer
