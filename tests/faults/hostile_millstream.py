"""The program `millstream` with a parser that does what some documents tell it to; all else is the product."""

from pathlib import Path

from processors import parse_process

parse_process.PARSE_CHILD = Path(__file__).with_name("hostile_parse_child.py")  # type: ignore[misc]

from millstream.cli import main  # noqa: E402  the sandbox takes the child's place over when it is imported

if __name__ == "__main__":
    main()
