"""Writes to every control socket that it finds, at a moment that HOSTILE names: what a worker would say, at the wrong
time, and what nobody would say. Each time it takes a file out of the folder TOKENS; when none is left it behaves.

SEED makes it repeatable. The packets name the pids of the processes that are called BYSTANDER, and of others.
"""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import threading
import time

import ok

MOMENT = os.environ["HOSTILE"]  # import, before, parent, child, thread, lifespan, request, drain
DICE = random.Random(f"{os.environ['SEED']} {MOMENT}")
FIELDS = {
    "hello": {},
    "loaded": {"forkable": True, "why": ""},
    "unforkable": {"why": "x"},
    "refused": {"why": "x"},
    "armed": {},
    "ready": {},
    "failed": {"kind": "exception", "message": "\x1b[2J", "traceback": ""},
    "readiness": {"ready": False, "why": "\n\x1b]0;owned\x07"},
    "unpinned": {"why": ""},
    "load": {"version": "", "settings": {}, "role": "template", "live": False},
    "fork": {"warm": False, "live": False},
    "activate": {"slot": 0, "worker": 1, "core": None, "restarts": 0, "record": 0, "slots": 1},
    "lame": {},
    "drain": {"within": -1, "linger": 1e300},
}
ODD = [None, True, 0, -1, 2**70, "", "missing", "\udcff\x1b[2J\n", [], {}, [[[]]], 1e300]


def target():
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/comm") as comm:
                if name.isdigit() and comm.read().strip() == os.environ["BYSTANDER"]:
                    return int(name)
        except OSError:
            continue
    raise LookupError("nobody is there")


def controls():
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(socket.socket(fileno=os.dup(fd)))
        except OSError:
            continue
    return [copy for copy in found if copy.family == socket.AF_UNIX and copy.type == socket.SOCK_SEQPACKET]


def packet():
    kind = DICE.choice(sorted(FIELDS))
    fields = dict(FIELDS[kind])
    if MOMENT == "import" and kind == "failed":
        fields["kind"] = "nosuch"  # that its application can't be loaded is what it may say there
    change = DICE.random()
    if change < 0.3:
        fields["pid"] = DICE.choice([target(), target(), 1, -1, 0, os.getpid(), os.getppid()])
    elif change < 0.5 and fields:
        fields[DICE.choice(sorted(fields))] = DICE.choice(ODD)
    elif change < 0.55 and fields:
        del fields[DICE.choice(sorted(fields))]
    text = json.dumps({"type": kind, **fields}).encode()
    form = DICE.random()
    if form < 0.05:
        return text[: DICE.randrange(len(text))]  # sometimes nothing at all
    if form < 0.1:
        return DICE.randbytes(DICE.choice([1, 100, 70_000]))
    if form < 0.15:
        return b"[" * DICE.choice([10, 1000, 60_000])
    return text


def write(first=()):
    """One act, if there is a token for it."""
    for token in os.listdir(os.environ["TOKENS"]):
        try:
            os.unlink(os.path.join(os.environ["TOKENS"], token))
        except FileNotFoundError:
            continue
        break
    else:
        return
    for control in controls():
        control.setblocking(False)
        try:
            for data in [*first, *(packet() for _ in range(DICE.randint(1, 20)))]:
                if DICE.random() < 0.1:
                    socket.send_fds(control, [data], [0, 1, 2] * DICE.randint(1, 20))
                else:
                    control.send(data)
            if DICE.random() < 0.3:
                control.shutdown(DICE.choice([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR]))
        except OSError:
            pass  # full, or closed already
        control.setblocking(True)
        control.close()


def say_hello_for_others():
    if MOMENT == "child":
        write([json.dumps({"type": "hello", "pid": target()}).encode()])


def write_by_and_by():
    while os.listdir(os.environ["TOKENS"]):
        time.sleep(DICE.choice([0.0, 0.001, 0.01, 0.1]))
        write()


if MOMENT == "import":
    write()
elif MOMENT == "before":
    os.register_at_fork(before=write)
elif MOMENT == "parent":
    os.register_at_fork(after_in_parent=write)
elif MOMENT == "child":
    os.register_at_fork(after_in_child=say_hello_for_others)
elif MOMENT == "thread":
    os.register_at_fork(after_in_child=lambda: threading.Thread(target=write_by_and_by, daemon=True).start())


async def app(scope, receive, send):
    if scope["type"] == "lifespan" and MOMENT == "lifespan":
        write()
    elif scope["type"] == "lifespan" and MOMENT == "drain":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        write()
        time.sleep(3600)
    elif scope["type"] == "http" and scope["path"] == "/write":
        write()
    await ok.app(scope, receive, send)
