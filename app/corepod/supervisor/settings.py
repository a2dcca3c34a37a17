"""One finished set of settings. `corepod.config` has parsed and checked it before this process was executed."""

from __future__ import annotations

import json
import os

from corepod.contract.env import ENV_SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Settings:
    """What the supervisor uses of `corepod.config.spec`, by the same names; the worker gets all of `values`."""

    app: str
    preload: str
    env_file: str
    name: str
    workers: str | int
    pin: str
    standby: str
    standbys: int
    live_max_age: float
    crash_budget: tuple[int, float]
    max_requests: int
    max_requests_jitter: int
    max_age: float
    max_age_jitter: float
    max_memory: int | str
    recycle_at: str
    take_turns: int
    overlap: bool
    exit_code: str
    bind: list[str]
    backlog: int
    socket_mode: int | None
    admin: str
    admin_status: str
    control: str
    notify: str
    pid_file: str
    ready_file: str
    busy_after: float
    busy_timeout: float
    stuck_dump: float
    stuck_timeout: float
    stalled_after: float
    wsgi_timeout: float
    on_ready: list[str]
    on_exit: list[str]
    on_reload: list[str]
    on_give_up: list[str]
    hook_timeout: float
    sticky: bool
    lame_duck: float
    stop_timeout: float
    keep_alive: float
    debug: bool
    log_format: str
    log_level: str
    log_file: str
    access_log_file: str
    log_max_size: int
    log_files: int
    termination_log: str
    # Beside the table: what the command line knows.
    profile: str  # "run" on one machine, "pod" as a container's PID 1
    python: str
    interpreter: list[str]  # options of the workers' interpreter
    cwd: str
    admin_explicit: bool  # an address the user chose is taken or nothing is; the default one may move
    attended: bool = False  # someone sees the start fail: an import isn't tried again then
    prefixed: list[str]  # streams, stdout and stderr, on which lines of workers begin with the worker's name
    ld_preload: str  # LD_PRELOAD of the workers
    sources: dict[str, str]  # where the value of each setting comes from, for people
    console: str = ""  # path of the control socket of the terminal that shows the pool
    outputs: list[int] = []  # noqa: RUF012  # descriptors that are the workers' standard output and error; none: relayed
    lifeline: int | None  # descriptor whose end means that the command line is gone
    starter: int | None = None  # descriptor by which corepod start is told that the pool is ready in the background

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.__dict__.update(values)

    @property
    def recycles(self) -> bool:
        """Whether workers are replaced when they reach a limit. A debugger may sit in one with `debug`."""
        limits = (self.max_requests, self.max_age, self.max_memory, self.recycle_at)
        return any(limits) and not self.debug

    @property
    def relays(self) -> bool:
        """Whether the supervisor reads what its processes write. Only a local pool does, or one with a log file of its
        own; in a pod they write to the container's log themselves: a relay would cost a copy of every line, and lose
        what is on its way when the supervisor is killed."""
        return (self.profile == "run" or bool(self.log_file)) and not self.outputs

    @property
    def pool_name(self) -> str:
        return self.name or self.app.partition(":")[0]


def from_environment() -> Settings:
    """Read the settings and remove them from what children inherit.

    Raises KeyError where this program was started by hand.
    """
    return Settings(json.loads(os.environ.pop(ENV_SETTINGS)))
