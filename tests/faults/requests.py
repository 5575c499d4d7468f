"""Uploads as bytes on a socket, for clients that hang up wherever they like."""

import socket
import struct
from typing import Final
from urllib.parse import urlsplit

BOUNDARY: Final = "a-boundary-that-no-file-holds"
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST instead of FIN."""


def multipart(filename: str, content: bytes) -> bytes:
    """The body of an upload of one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send_part_of(url: str, kb: str, body: bytes, *, share: float, resets: bool, key: str = "") -> None:
    """Sends the headers and this share (0 to 1) of the body, then hangs up without waiting for an answer."""
    host = urlsplit(url)
    headers = [
        f"POST /api/v1/knowledge-bases/{kb}/documents HTTP/1.1",
        f"Host: {host.netloc}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
        *([f"Idempotency-Key: {key}"] if key else []),
    ]
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.sendall("\r\n".join([*headers, "", ""]).encode())
        connection.sendall(body[: int(len(body) * share)])
        if resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
