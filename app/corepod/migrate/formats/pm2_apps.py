"""One application of PM2: each of its fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from corepod.config.document import OURS, VARIABLE
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Fate, Program

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", re.IGNORECASE)
_NODE_ONLY = """
source_map_support disable_source_map_support vizion pmx automation filter_env force version namespace
disable_trace trace deep_monitoring shutdown_with_message append_env_to_name kill_retry_time km_link
disable_logs autostart combine_logs post_update pre_setup
"""
_COMMAND = ("script", "exec", "interpreter", "exec_interpreter", "args")
UNSTABLE = 1.0  # seconds, PM2's default of min_uptime


def texts(env: Any) -> dict[str, str]:
    return {str(name): _text(value) for name, value in env.items()} if isinstance(env, dict) else {}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def settings(app: dict[str, Any], program: Program, known: bool) -> None:
    """All fields of the application. `known` says whether its server is."""
    taking = Taking(program, app)
    if not known:
        taking.left.pop("script" if "script" in taking else "exec", None)  # a person is asked already
    for key in [key for key in _COMMAND if key in taking]:
        taking.note(Fate.MAPPED, key, "app", "the settings of its command line are here")
    if "name" in taking:
        taking.note(Fate.MAPPED, "name", f"[apps.{program.name}]")
    for step in (_instances, _memory, _stopping, _restarts, _logs, _watching, _environment, _python):
        step(taking)
    taking.drop("it is about Node, or about PM2 itself", *_NODE_ONLY.split())
    taking.rest()


def _instances(taking: Taking) -> None:
    count = taking.get("instances")
    own = taking.program.settings.get("workers", 1)
    if "instances" in taking:
        wanted = {"max": 0, "0": 0, "": 0}.get(str(count), count)
        try:
            number = int(wanted)
        except (TypeError, ValueError):
            taking.ask("write the number of workers", "instances")
        else:
            _replace_workers(taking, number, own)
    if "exec_mode" in taking:
        taking.drop("a pool has one or more workers behind one port in any case", "exec_mode")
    if "instance_var" in taking:
        taking.note(Fate.CHECK, "instance_var", "COREPOD_SLOT", "the number of a worker's slot, from 0, is there")
    taking.ask("a value of its own for each worker: compute it from COREPOD_SLOT in the application", "increment_var")


def _replace_workers(taking: Taking, number: int, own: Any) -> None:
    items = taking.program.items
    items[:] = [item for item in items if not item.ours.startswith("workers = ") or number == 1]
    if number == 1 and "workers" in taking.program.settings:
        taking.note(Fate.MAPPED, "instances", "", "one pool, with the workers of its command line")
    elif number <= 0:
        note = "one for each usable core" if number == 0 else f"PM2 left {-number} of the cores free"
        taking.use("instances", "workers", "auto", note, check=number < 0)
    else:
        total = number * own if isinstance(own, int) else number
        note = f"{number} instances with {own} workers each" if total != number else ""
        taking.use("instances", "workers", total, note)


def _memory(taking: Taking) -> None:
    for key in ("max_memory_restart", "max_memory"):
        if key not in taking:
            continue
        match = _SIZE.fullmatch(str(taking.get(key)).strip())
        if match is None:
            taking.ask("write the size as 512m in max_memory", key)
            continue
        size = int(float(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2].upper()])
        taking.use(key, "max_memory", size, "the new worker is ready before the old one goes")


def _stopping(taking: Taking) -> None:
    if "kill_timeout" in taking:
        _milliseconds(taking, "kill_timeout", lambda s: taking.use("kill_timeout", "stop_timeout", s))
    start = "a worker is ready when its application has started; corepod start waits for it and says why it isn't"
    taking.drop(start, "wait_ready", "listen_timeout")
    if taking.get("treekill") is False:
        taking.note(Fate.CHECK, "treekill", "", "what workers start themselves is theirs to end")
    taking.drop("the pool leaves no process behind", "treekill")
    codes = "a worker that ends is replaced, whatever its exit code"
    taking.ask(codes, "stop_exit_codes")


def _milliseconds(taking: Taking, key: str, then: Callable[[float], None]) -> None:
    try:
        value = float(str(taking.get(key)).removesuffix("ms")) / 1000
    except ValueError:
        taking.ask("it is a number of milliseconds in PM2", key)
    else:
        then(int(value) if value == int(value) else value)


def _restarts(taking: Taking) -> None:
    if taking.get("autorestart") is False:
        taking.ask("workers are always replaced; a job that ends by itself stays with PM2", "autorestart")
    taking.drop("workers are always replaced", "autorestart")
    endless = "exp_backoff_restart_delay" in taking
    if endless:
        note = "no limit of deaths, and a pause between restarts that grows"
        taking.use("exp_backoff_restart_delay", "crash_budget", "0", note)
    if "max_restarts" in taking:
        _budget(taking, endless)
    taking.drop("it is a part of crash_budget", "min_uptime")
    taking.drop("the next worker is ready already; where several die in a row, a pause grows", "restart_delay")
    for key in ("cron_restart", "cron"):
        if key in taking:
            fields = str(taking.get(key)).split()
            taking.use(key, "recycle_at", " ".join(fields[-5:]), "without a gap", check=len(fields) > 5)


def _budget(taking: Taking, endless: bool) -> None:
    restarts, window = taking.get("max_restarts"), _uptime(taking.get("min_uptime"))
    if endless:
        taking.drop("exp_backoff_restart_delay has no limit", "max_restarts")
    elif not str(restarts).isdigit():
        taking.ask("write crash_budget, DEATHS/SECONDS", "max_restarts")
    elif int(restarts) == 0 or int(restarts) >= 1000:
        taking.use("max_restarts", "crash_budget", "0", "no limit of deaths, and a pause between restarts that grows")
    else:
        note = "PM2 counts processes that end within min_uptime; here deaths of a slot count within a time"
        budget = f"{int(restarts)}/{int(restarts) * window:g}"
        taking.use("max_restarts", "crash_budget", budget, note, check=True)


def _uptime(value: Any) -> float:
    """min_uptime in seconds: PM2 has milliseconds, or 10s, 5m, 1h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", str(value).strip())
    if match is None or not float(match[1]):
        return UNSTABLE
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2] or "ms"]


def _logs(taking: Taking) -> None:
    one = "the supervisor and all workers write to one log"
    files = ("log_file", "out_file", "output", "out", "log", "error_file", "error", "err_file", "err")
    present = [key for key in files if key in taking]
    for at, key in enumerate(present):
        path = taking.get(key)
        if not isinstance(path, str) or path in ("/dev/null", "NULL", "", "/dev/stdout", "/dev/stderr"):
            taking.drop("the log of a pool in the background is a file that is rotated (corepod logs)", key)
        elif at and "log_file" in taking.program.settings:
            same = path == taking.program.settings["log_file"]
            taking.note(Fate.MAPPED if same else Fate.CHECK, key, "log_file", one)
        else:
            taking.use(key, "log_file", path)
    taking.drop(one, "merge_logs")
    taking.drop("each line of the log has its time", "log_date_format", "time")
    if "log_type" in taking:
        taking.use("log_type", "log_format", "json" if taking.get("log_type") == "json" else "text")


def _watching(taking: Taking) -> None:
    watched = taking.get("watch")
    if watched:
        note = "for development; a pool that serves users loads new code with corepod reload"
        if isinstance(watched, list):
            taking.program.settings["reload_dir"] = [str(one) for one in watched]
        taking.use("watch", "reload", True, note, check=True)
        if isinstance(taking.get("ignore_watch"), list):
            taking.use("ignore_watch", "reload_exclude", [str(one) for one in taking.get("ignore_watch")])
    taking.drop("nothing is watched", "watch")
    taking.drop("what is watched has its own rules (reload_include, reload_exclude)", "ignore_watch")
    taking.drop("changes are gathered by themselves", "watch_options", "watch_delay")


def _environment(taking: Taking) -> None:
    program = taking.program
    for key in [key for key in taking.left if key == "env" or key.startswith("env_")]:
        if key == "env_file":
            taking.use(key, "env_file", taking.get(key))
            continue
        found = texts(taking.get(key))
        unfit = [name for name in found if not VARIABLE.fullmatch(name) or name in OURS]
        table = "[env]" if key == "env" else f"[env.{key.removeprefix('env_')}]"
        fit = {name: value for name, value in found.items() if name not in unfit}
        if key == "env":
            program.variables.update(fit)
        else:
            program.environments[key.removeprefix("env_")] = fit
        if unfit:
            names = ", ".join(unfit)
            note = f"{names}: the file has names in capitals, and none of corepod's; put them into env_file"
            taking.note(Fate.NEEDS_YOU, key, table, note)
        else:
            chosen = "" if key == "env" else f"corepod start --env {key.removeprefix('env_')} chooses it"
            taking.note(Fate.MAPPED, key, table, chosen)


def _python(taking: Taking) -> None:
    if "cwd" in taking:
        taking.use("cwd", "chdir", str(taking.get("cwd")))
    for key, ours in (("uid", "user"), ("gid", "group"), ("user", "user"), ("group", "group")):
        if key in taking:
            taking.use(key, ours, str(taking.get(key)))
    for key in ("node_args", "interpreter_args"):
        options = taking.get(key)
        listed = options.split() if isinstance(options, str) else options or []
        if all(one == "-u" or str(one).startswith("--max-old-space-size") for one in listed):
            taking.drop("Python has no such limit, and what workers print isn't kept back", key)
        taking.ask("options of the interpreter: PYTHON variables in [env] are the same", key)
