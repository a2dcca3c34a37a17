"""Where the threads and tasks of a pool's workers are now."""

from __future__ import annotations

import os
import re
import sysconfig
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.escaping import line as one_line
from corepod.contract.stacks import ASKED, NEWEST_FIRST, TASKS, TASKS_END
from corepod.local.pools import get, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.local.client import Client

LOOK = 0.05  # seconds between two looks at what has come
STRAGGLERS = 0.7  # seconds in which tasks may follow threads
PATIENCE = 5.0  # seconds
_STDLIB = os.path.join(sysconfig.get_path("stdlib"), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_DEMO = os.path.join(_PACKAGE, "demo", "")
_FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')


class Group(NamedTuple):
    """One thread, or tasks with the same stack; `size` is how many. `frames` are dictionaries of file, line and
    function, the newest call first; the line is None where it isn't known."""

    title: str
    size: int
    frames: list[dict[str, Any]]
    notes: list[str]  # lines of another form, such as that more is left out


class Stacks(NamedTuple):
    """Of one worker. `tasks` is None where it couldn't show them; nothing is known where `answered` is False, but what
    the kernel says."""

    worker: int
    slot: int
    pid: int
    answered: bool
    threads: list[Group]
    tasks: list[Group] | None
    task_count: int
    kernel: str

    def as_json(self) -> dict[str, Any]:
        """A document for programs."""
        groups = {
            name: found if found is None else [{**group._asdict()} for group in found]
            for name, found in (("threads", self.threads), ("tasks", self.tasks))
        }
        return {**self._asdict(), **groups}


def collect(client: Client, slot: str, patience: float = PATIENCE) -> list[Stacks]:
    """The stacks of the workers of this slot: one, or two while one replaces the other. Raises CommandError."""
    post(client, f"/dump?slot={slot}")
    deadline, first = time.monotonic() + patience, 0.0
    while True:
        workers = get(client, f"/stacks?slot={slot}")["workers"]
        now = time.monotonic()
        if all(worker["lines"] for worker in workers):
            first = first or now
            if now - first >= STRAGGLERS or all(TASKS_END in worker["lines"] for worker in workers):
                break
        if now >= deadline:
            break
        time.sleep(LOOK)
    return [_stacks(worker) for worker in workers]


def _of_one_answer(lines: list[str]) -> list[str]:
    """What the interpreter has written, where it has. One that was late has been asked through faulthandler, too, and
    several commands may ask at once: each thread would be there twice."""
    if TASKS_END not in lines:
        return lines
    end = lines.index(TASKS_END)
    begin = max((at for at, line in enumerate(lines[:end]) if line.startswith(ASKED)), default=0)
    return lines[begin : end + 1]


def _stacks(found: dict[str, Any]) -> Stacks:
    lines = _of_one_answer(found["lines"])
    parts: dict[str, list[str]] = {"threads": [], "tasks": []}
    part, count, complete = "threads", 0, False
    for line in lines:
        if line.startswith(TASKS):
            part, count = "tasks", int(line.removeprefix(TASKS)) if line.removeprefix(TASKS).isdecimal() else 0
        elif line == TASKS_END:
            part, complete = "threads", True
        else:
            parts[part].append(line)
    return Stacks(
        found["worker"],
        found["slot"],
        found["pid"],
        bool(lines),
        _groups(parts["threads"]),
        _groups(parts["tasks"]) if complete else None,
        count,
        "" if complete else kernel_says(found["pid"]),
    )


def _groups(lines: list[str]) -> list[Group]:
    groups: list[Group] = []
    for line in lines:
        frame = _FRAME.fullmatch(line)
        if line.endswith(NEWEST_FIRST):
            title = line.removesuffix(NEWEST_FIRST).strip()
            number = title.partition(" ")[0]
            groups.append(Group(title, int(number) if number.isdecimal() else 1, [], []))
        elif frame is not None and groups:
            file, number, name = frame.groups()
            groups[-1].frames.append(
                {"file": file, "line": int(number) if number.isdecimal() else None, "function": name}
            )
        elif line.strip():
            if not groups:
                groups.append(Group("", 0, [], []))
            groups[-1].notes.append(line.strip())
    return groups


def kernel_says(pid: int) -> str:
    """In which state a process is, and what it waits for in the kernel; empty where that can't be read."""
    state = next((line.partition(":")[2].strip() for line in _read(pid, "status").splitlines() if "State:" in line), "")
    if not state:
        return ""
    waits = _read(pid, "wchan")
    return f"the kernel says: state {state}" + (f", waits in {one_line(waits)}" if waits not in ("", "0") else "")


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def lines(pool: str, stacks: Stacks) -> Iterator[tuple[str, str]]:
    """The stacks of one worker for people, each line with its style. The application's own lines stand out."""
    yield f"{pool}/{stacks.slot}: worker {stacks.worker} (pid {stacks.pid})", "bold"
    if not stacks.answered:
        why = stacks.kernel or "there is no such process here any more"
        yield f"  it hasn't written its stacks in time; {why}", "red"
        return
    for group in stacks.threads:
        yield from _group(group)
    if stacks.tasks is None:
        where = f" ({stacks.kernel})" if stacks.kernel else ""
        what = "Its tasks can't be shown: the interpreter doesn't answer, it is in a call into C"
        yield f"\n{what}{where}", "yellow"
        return
    yield f"\n{stacks.task_count} task{'' if stacks.task_count == 1 else 's'}", "bold"
    for group in stacks.tasks:
        yield from _group(group)


def _group(group: Group) -> Iterator[tuple[str, str]]:
    if group.title:
        yield f"\n{group.title}, most recent call first:", "cyan"
    for frame in group.frames:
        place = f"  {frame['file']}:{frame['line'] or '?'} in {frame['function']}"
        yield place, "bold" if _is_application(frame["file"]) else "dim"
    for note in group.notes:
        yield f"  {note}", "italic"


def _is_application(file: str) -> bool:
    if file.startswith(_PACKAGE):
        return file.startswith(_DEMO)
    return not file.startswith((_STDLIB, "<")) and "site-packages" not in file
