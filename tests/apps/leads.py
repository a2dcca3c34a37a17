"""Workers that want to lead, and a witness that knows nothing of locks: whoever comes to lead writes it down, and every
leader before it must be dead by then. LEADS names the folder of its notes; LEADS_BY=slot: who has slot 0 takes itself
for the leader."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import corepod

NOTES = Path(os.environ["LEADS"])
leading = False


def note(name, *words):
    with (NOTES / name).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def began(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def runs(pid, start):
    """Whether it is the same process, and has memory in which to run code: a process loses that before its locks."""
    with suppress(OSError):
        return began(pid) == start and Path(f"/proc/{pid}/cmdline").read_text() != ""
    return False


def takes_over():
    global leading
    leading = True
    note("leaders", os.getpid(), began(os.getpid()))
    for line in (NOTES / "leaders").read_text().splitlines():
        pid, start = line.split()
        if int(pid) != os.getpid() and runs(pid, start):
            note("violations", os.getpid(), "leads beside", pid)


def may_lead():
    """A test may say which slot leads next."""
    with suppress(OSError):
        return (NOTES / "only").read_text() in ("", os.environ.get("COREPOD_SLOT"))
    return True


async def lead():
    while not may_lead():
        await asyncio.sleep(0.01)
    if os.environ.get("LEADS_BY") == "slot":
        if corepod.this_worker().slot != 0:
            return
    else:
        await corepod.wait_until_leader()
    takes_over()


def fork():
    """A child that outlives the worker; what it thinks of its lead."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()  # the supervisor ends the group of a worker that is killed
        os.write(writer, json.dumps([os.getpid(), corepod.leader()]).encode())
        os.closerange(3, 1024)  # the worker's lock is none of its business
        signal.pause()
    os.close(writer)
    answer = os.read(reader, 100)
    os.close(reader)
    return json.loads(answer)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        note(
            "starts", os.getpid(), corepod.this_worker() is not None, corepod.this_worker() is None and corepod.leader()
        )
        task = asyncio.create_task(lead())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fork":
        answer = fork()
    elif scope["path"] == "/thread":
        answer = [os.getpid(), await asyncio.to_thread(corepod.leader)]
    else:
        answer = [os.getpid(), leading]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


note("imports", os.getpid(), corepod.leader())
