"""YAML files as they are read, and files held to JSON Schemas."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result


def checked(*arguments: str | Path) -> Result:
    """`check-jsonschema` with these arguments, in this process: to start it for each file takes longer than to check
    all of them. Exit code 1 where a file breaks its schema, with what is wrong as the output."""
    from check_jsonschema import main

    return CliRunner().invoke(main, [str(one) for one in arguments])


@cache
def read_yaml(path: Path) -> list[Any]:
    """Its documents, read once a process, by the parser in C where PyYAML has it; to look at, not to change."""
    return list(yaml.load_all(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
