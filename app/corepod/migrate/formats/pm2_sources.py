"""Where PM2 has its settings: an ecosystem file in JavaScript, `pm2 jlist`, and command lines."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from corepod.migrate.formats import documents
from corepod.migrate.model import MigrateError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from corepod.migrate.model import Context

_ERROR = re.compile(r"\w*Error\b")
NODE_TIMEOUT = 20  # seconds for node to evaluate an ecosystem file
_SCRIPT = "process.stdout.write('\\0' + JSON.stringify(require(process.argv[1])))"
# The fields of an entry of `pm2 jlist` that are settings; all else is bookkeeping of PM2 and variables of the shell.
_LISTED = {"pm_exec_path": "script", "exec_interpreter": "interpreter", "pm_cwd": "cwd"}
_LISTED |= {"pm_out_log_path": "out_file", "pm_err_log_path": "error_file"}
_SAME = """
name args exec_mode instances watch ignore_watch autorestart max_memory_restart kill_timeout listen_timeout
wait_ready max_restarts min_uptime restart_delay exp_backoff_restart_delay cron_restart merge_logs
log_date_format node_args instance_var treekill stop_exit_codes uid gid env_file log_type time
"""
_FLAGS = {
    "-n": "name",
    "-i": "instances",
    "-o": "out_file",
    "-e": "error_file",
    "-l": "log_file",
    "--output": "out_file",
    "--error": "error_file",
    "--log": "log_file",
    "--cron": "cron_restart",
    "--interpreter-args": "interpreter_args",
    "--restart-delay": "restart_delay",
    "--kill-timeout": "kill_timeout",
}
_BARE = (
    "watch",
    "time",
    "merge-logs",
    "wait-ready",
    "no-autorestart",
    "no-daemon",
    "attach",
    "force",
    "f",
    "no-treekill",
)


def evaluate(path: Path, context: Context) -> Any:
    """What an ecosystem file exports that is a program: node evaluates it.

    Raises MigrateError without node, or where it fails.
    """
    node = shutil.which("node", path=context.environ.get("PATH"))
    other = "pass what PM2 shows itself: pm2 jlist > pm2.json, and then corepod migrate pm2.json"
    if not context.execute:
        raise MigrateError(f"{path.name}: it is a program, and none is executed here; {other}")
    if node is None:
        raise MigrateError(f"{path.name}: it is a program, and node isn't on the PATH; {other}")
    try:
        done = subprocess.run(
            [node, "-e", _SCRIPT, str(path.absolute())],
            capture_output=True,
            text=True,
            timeout=NODE_TIMEOUT,
            cwd=context.folder,
            env=dict(context.environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MigrateError(f"{path.name}: node hasn't evaluated it after {NODE_TIMEOUT} s; {other}") from None
    if done.returncode or "\0" not in done.stdout:
        lines = done.stderr.splitlines()
        reason = next((one for one in lines if _ERROR.match(one)), "it exports nothing")
        raise MigrateError(f"{path.name}: node can't evaluate it: {reason.strip()}; {other}")
    return documents.load_json(done.stdout.rpartition("\0")[2], path.name)


def is_listing(content: Any) -> bool:
    return isinstance(content, list) and any(isinstance(one, dict) and "pm2_env" in one for one in content)


def from_listing(content: Iterable[Any], context: Context) -> list[dict[str, Any]]:
    """The applications that PM2 runs now, each once."""
    found: dict[str, dict[str, Any]] = {}
    for one in content:
        state = one.get("pm2_env", {})
        app = {ours: state[theirs] for theirs, ours in _LISTED.items() if state.get(theirs) is not None}
        app |= {key: state[key] for key in _SAME.split() if state.get(key) is not None}
        app["exec_mode"] = str(app.get("exec_mode", "fork")).removesuffix("_mode")
        name = str(one.get("name") or app.get("name") or app.get("script"))
        app["name"] = name
        inherited = {*context.environ, *_LISTED, name}
        own = {key: value for key, value in state.get("env", {}).items() if _own(key, value, inherited)}
        if own:
            app["env"] = own
        found.setdefault(name, app)
    return list(found.values())


def _own(name: str, value: Any, inherited: set[str]) -> bool:
    """Whether a variable may be the application's, and not one of PM2 or of the shell that started it."""
    shell = ("PM2_", "SSH_", "XDG_", "LC_", "npm_", "PM_", "DBUS_", "NVM_")
    return name.isupper() and not name.startswith(shell) and name not in inherited and not isinstance(value, dict)


def started(line: list[str]) -> dict[str, Any]:
    """The application of `pm2 start SCRIPT --flags -- arguments`. Raises MigrateError for other commands of PM2."""
    text = " ".join(line)
    if line[1:2] not in (["start"], ["restart"], ["reload"]):
        raise MigrateError(f"{text}: only pm2 start has settings")
    app: dict[str, Any] = {}
    left = line[2:]
    while left:
        word = left.pop(0)
        if word == "--":
            app["args"] = left
            break
        if not word.startswith("-"):
            app.setdefault("script", word)
            continue
        flag, equals, value = word.partition("=")
        key = _FLAGS.get(flag, flag.lstrip("-").replace("-", "_"))
        if flag.lstrip("-") in _BARE and not equals:
            app[key.removeprefix("no_")] = not key.startswith("no_")
        else:
            app[key] = value if equals else left.pop(0) if left and not left[0].startswith("-") else True
    script = str(app.get("script", ""))
    if script.endswith((".js", ".cjs", ".json", ".yml", ".yaml")) and ("config" in script or not script.endswith("js")):
        raise MigrateError(f"{text}: the settings are in {script}: corepod migrate {script}")
    if not script:
        raise MigrateError(f"{text}: it names no script")
    return app
