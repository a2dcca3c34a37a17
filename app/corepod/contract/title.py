"""The title of a process: what ps and htop show in place of its command line.

The kernel shows the memory in which it has put the arguments. A title is written over them, so a process that is to
have one is started with a blank argument that makes room for it.
"""

from __future__ import annotations

BLANK = " " * 160


def area() -> tuple[int, int]:
    """Address and size of this process's arguments in memory; the size is 0 where they aren't to be had."""
    try:
        with open("/proc/self/stat", "rb") as stat, open("/proc/self/cmdline", "rb") as cmdline:
            fields = stat.read().rpartition(b")")[2].split()
            shown = cmdline.read()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc_pid_stat(5)
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(start)
            # A sandbox may tell anything: only what is shown may be written over.
            return (start, end - start) if end - start > 0 and memory.read(end - start) == shown else (0, 0)
    except (OSError, ValueError, IndexError, OverflowError):
        return 0, 0


def fit(text: str, room: int) -> bytes:
    """What to write into an area of this size, so that the kernel shows `text`, or as much as there is room for."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    # A last byte other than NUL tells the kernel that this is a title, which ends at its first NUL.
    return clean.encode("utf-8", "replace")[: room - 2].ljust(room - 1, b"\0") + b"." if room > 2 else b""


def describe(role: str, name: str, app: str, more: str = "") -> str:
    """As people read it: "corepod: worker 3 slot 0 of shop (main:app) core 1"."""
    of = f"{name} ({app})" if name else app
    return f"corepod: {role} of {of}{f' {more}' if more else ''}"


def show(text: str) -> None:
    """Give this process its title. A process that has changed its user may not do it so."""
    start, room = area()
    if room:
        try:
            with open("/proc/self/mem", "r+b", 0) as memory:
                memory.seek(start)
                memory.write(fit(text, room))
        except OSError:
            pass  # only a convenience for ps
