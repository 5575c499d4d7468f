"""Generates the Python stubs of `proto/` where the adapter imports them: `make proto`.

protoc names modules after the file's place among the protos; ours lie inside the adapter, so their imports of each
other are turned to it.
"""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from grpc_tools import protoc

PROTO: Final = Path(__file__).parent
STUBS: Final = PROTO.parent / "src" / "millstream" / "grpc" / "v1"
SOURCES: Final = {
    "millstream/v1/tasks.proto": ("python", "pyi", "grpc_python"),
    "millstream/v1/errors.proto": ("python", "pyi"),
}
"""With what is made of each; one has services."""
NAMES: Final = ("tasks_pb2.py", "tasks_pb2.pyi", "tasks_pb2_grpc.py", "errors_pb2.py", "errors_pb2.pyi")


def generate(folder: Path) -> None:
    """Writes the stubs into `folder`, which exists. Raises RuntimeError where protoc refuses one of the sources."""
    included = files("grpc_tools") / "_proto"
    for source, kinds in SOURCES.items():
        outputs = [f"--{kind}_out={folder}" for kind in kinds]
        if protoc.main(["protoc", f"-I{PROTO}", f"-I{included}", *outputs, source]) != 0:
            raise RuntimeError(f"protoc refuses {source}")
    made = folder / "millstream" / "v1"
    for name in NAMES:
        text = (made / name).read_text().replace("from millstream.v1 import", "from millstream.grpc.v1 import")
        (folder / name).write_text(text)
        (made / name).unlink()
    made.rmdir()
    made.parent.rmdir()


if __name__ == "__main__":
    generate(STUBS)
    sys.stdout.write(f"{', '.join(NAMES)} in {STUBS}\n")
