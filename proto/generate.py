"""Generates the Python stubs of `proto/` where the adapter imports them: `make proto`.

protoc names modules after the file's place among the protos; ours lie inside the adapter, so their one import of each
other is turned to it.
"""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from grpc_tools import protoc

PROTO: Final = Path(__file__).parent
STUBS: Final = PROTO.parent / "src" / "millstream" / "grpc" / "v1"
SOURCE: Final = "millstream/v1/tasks.proto"
NAMES: Final = ("tasks_pb2.py", "tasks_pb2.pyi", "tasks_pb2_grpc.py")


def generate(folder: Path) -> None:
    """Writes the stubs into `folder`, which exists. Raises RuntimeError where protoc refuses the source."""
    included = files("grpc_tools") / "_proto"
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"-I{PROTO}", f"-I{included}", *outputs, SOURCE]) != 0:
        raise RuntimeError(f"protoc refuses {SOURCE}")
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
