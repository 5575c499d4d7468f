"""Power cuts: a library, put before the C library of a server, that notes how much of each file was really synced.

What a process wrote and did not sync is lost in a power cut, though any kill would leave it in the page cache. So a cut
is: kill the server, then cut each of its append-only files to the length that its last fsync saw.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SYNCED: Final = ".synced"

_SOURCE: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int note(int fd, int (*sync)(int)) {
    char link[64], path[4096], text[32];
    struct stat before;
    int known = fstat(fd, &before);
    int result = sync(fd);
    if (result != 0 || known != 0) return result;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 16);
    if (length <= 0) return result;
    path[length] = 0;
    if (strstr(path, ".aof") == NULL) return result;
    strcat(path, ".synced");
    int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (out >= 0) {
        int count = snprintf(text, sizeof text, "%020lld", (long long) before.st_size);
        if (pwrite(out, text, count, 0) != count) { close(out); return result; }
        close(out);
    }
    return result;
}

int fsync(int fd) { return note(fd, (int (*)(int)) dlsym(RTLD_NEXT, "fsync")); }
int fdatasync(int fd) { return note(fd, (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync")); }
"""


def fsync_shim(directory: Path) -> Path:
    """The library, for LD_PRELOAD; skips where there is no compiler or no Linux."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/proc/self/fd").exists():
        pytest.skip("there is no C compiler (cc), or no /proc: a power cut cannot be played here")
    source, library = directory / "synced.c", directory / "synced.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def synced_bytes(directory: Path) -> int:
    """Of a server's append-only files, how much is safe."""
    return sum(map(_synced, (directory / "appendonlydir").glob("*.incr.aof")))


def cut_power(directory: Path) -> int:
    """Of a server that was killed: every append-only file ends where it was synced last. Answers the bytes lost."""
    lost = 0
    for path in (directory / "appendonlydir").glob("*.incr.aof"):
        lost += path.stat().st_size - _synced(path)
        with path.open("r+b") as file:
            file.truncate(_synced(path))
    return lost


def _synced(path: Path) -> int:
    note = path.with_name(path.name + SYNCED)
    return int(note.read_text()) if note.exists() else 0
