"""The application of most process tests: raw ASGI, one function a path, answers in JSON. `/` says who answers.

LIFESPAN_LOG, where set, names a file that gets a line at every start and end of the lifespan.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import os
import random
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qsl

import corepod

KEPT: list[object] = []  # memory and children that stay
AT_START: dict[str, object] = {}  # what the lifespan saw


def who(query, request):
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        **{name: os.environ.get(f"COREPOD_{name.upper()}") for name in ("slot", "worker", "core", "restarts")},
        "affinity": sorted(os.sched_getaffinity(0)),
        "corepod": (worker := corepod.this_worker()) and worker._asdict(),
        "extension": request["extensions"].get("corepod"),
        "state": request["state"].get("corepod"),
        "at_start": AT_START,
    }


def pid(query, request):
    return os.getpid()


def slot(query, request):
    return int(os.environ["COREPOD_SLOT"])


async def sleep(query, request):
    await asyncio.sleep(float(query.get("s", 1)))
    return os.getpid()


def block(query, request):
    time.sleep(float(query.get("s", 1)))
    return os.getpid()


def _burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def burn(query, request):
    """CPU in the loop, with thread=1 in a thread beside it."""
    seconds = float(query.get("s", 1))
    if query.get("thread") == "1":
        await asyncio.to_thread(_burn, seconds)
    else:
        _burn(seconds)
    return os.getpid()


def leave(query, request):
    os._exit(int(query.get("code", 0)))


def sys_exit(query, request):
    sys.exit(int(query.get("code", 0)))


def kill(query, request):
    os.kill(os.getpid(), int(query.get("sig", signal.SIGKILL)))
    return os.getpid()


def abort(query, request):
    os.abort()


def segfault(query, request):
    ctypes.string_at(0)


def fail(query, request):
    raise RuntimeError(query.get("why", "asked to fail"))


async def lag(query, request):
    """How late the loop wakes a task, in seconds."""
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.05
    await asyncio.sleep(0.05)
    return loop.time() - due


def echo(query, request):
    return {
        **{key: value for key, value in request.items() if key not in ("headers", "state", "raw_path", "query_string")},
        "query": query,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request["headers"]],
        "host": next((value.decode("latin-1") for name, value in request["headers"] if name == b"host"), None),
    }


def threads(query, request):
    return {
        "count": len(os.listdir("/proc/self/task")),
        "names": [thread.name for thread in threading.enumerate()],
        "affinity": {tid: sorted(os.sched_getaffinity(int(tid))) for tid in os.listdir("/proc/self/task")},
    }


def fds(query, request):
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # the descriptor of the listing
    return found


def signals(query, request):
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("SigBlk", "SigIgn", "SigCgt"))}


def random_state(query, request):
    with tempfile.NamedTemporaryFile() as file:
        return {
            "random": random.random(),
            "uuid4": str(uuid.uuid4()),
            "secrets": secrets.token_hex(),
            "tempfile": file.name,
            "ssl": ssl.RAND_bytes(16).hex(),
        }


def spawn(query, request):
    """A grandchild of its own session; descriptors that aren't close-on-exec leak into it, as a careless one's do."""
    child = subprocess.Popen(["sleep", query.get("s", "300")], start_new_session=True, close_fds=False)
    KEPT.append(child)
    return child.pid


def orphans(query, request):
    """Processes whose parent is gone, which exit with `code` after `s` seconds."""
    code, pause = int(query.get("code", 0)), float(query.get("s", 0))
    for _ in range(int(query.get("n", 1))):
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                time.sleep(pause)
                os._exit(code)
            os._exit(0)
        os.waitpid(middle, 0)
    return os.getpid()


def memory(query, request):
    KEPT.append(b"\1" * (int(query.get("mb", 10)) << 20))
    return os.getpid()


def identity(query, request):
    umask = os.umask(0)
    os.umask(umask)
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "umask": umask,
        "cwd": os.getcwd(),
        "home": os.environ.get("HOME"),
        "executable": sys.executable,
        "path": sys.path,
    }


def env(query, request):
    """The environment, or the variables whose name begins with `prefix`."""
    return {name: value for name, value in os.environ.items() if name.startswith(query.get("prefix", ""))}


def say(query, request):
    """Print `text` `n` times, to standard error with err=1; with part=1 without the end of the line."""
    end = "" if query.get("part") == "1" else "\n"
    for _ in range(int(query.get("n", 1))):
        print(
            query.get("text", "said"), file=sys.stderr if query.get("err") == "1" else sys.stdout, end=end, flush=True
        )
    return os.getpid()


def set_ready(query, request):
    corepod.set_ready(query.get("ready", "1") == "1", query.get("why", ""))
    return os.getpid()


ROUTES = {
    "/": who,
    "/pid": pid,
    "/slot": slot,
    "/sleep": sleep,
    "/block": block,
    "/burn": burn,
    "/exit": leave,
    "/sys_exit": sys_exit,
    "/kill": kill,
    "/abort": abort,
    "/segfault": segfault,
    "/raise": fail,
    "/lag": lag,
    "/echo": echo,
    "/threads": threads,
    "/fds": fds,
    "/signals": signals,
    "/random": random_state,
    "/spawn": spawn,
    "/orphans": orphans,
    "/memory": memory,
    "/identity": identity,
    "/env": env,
    "/say": say,
    "/set_ready": set_ready,
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(receive, send)
    else:
        await http(scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    AT_START.update({name: value for name, value in os.environ.items() if name.startswith("COREPOD_")})
    _note("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    _note("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


def _note(what):
    if path := os.environ.get("LIFESPAN_LOG"):
        with open(path, "a") as file:
            file.write(f"{what} {os.getpid()}\n")


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": data})


async def http(scope, receive, send):
    query = dict(parse_qsl(scope["query_string"].decode()))
    if scope["path"] == "/stream":
        await stream(query, send)
    elif scope["path"] == "/body":
        await answer(send, await body(receive))
    elif (route := ROUTES.get(scope["path"])) is not None:
        result = route(query, scope)
        await answer(send, await result if asyncio.iscoroutine(result) else result)
    else:
        await answer(send, {"unknown": scope["path"], "known": [*ROUTES, "/body", "/stream"]}, 404)


async def body(receive):
    """Length and digest of the request's body; None when the client went away."""
    length, digest = 0, hashlib.sha256()
    while (message := await receive())["type"] == "http.request":
        length += len(message.get("body", b""))
        digest.update(message.get("body", b""))
        if not message.get("more_body"):
            return {"length": length, "sha256": digest.hexdigest()}
    return None


async def stream(query, send):
    """`n` lines, one each `s` seconds; no length is announced."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for number in range(int(query.get("n", 5))):
        await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
        await asyncio.sleep(float(query.get("s", 0.05)))
    await send({"type": "http.response.body", "body": b""})


async def answer(send, value, status=200):
    content = json.dumps(value, default=str).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
