"""Amounts as they are said to people."""


def counted(count: int, one: str) -> str:
    """`1 document`, `2,000 documents`. Of nouns that take an s alone."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"
