"""What the pool reports about itself: the probes, and the document behind /status, the metrics and the table."""

from __future__ import annotations

import os
import time

from corepod import __version__
from corepod.contract.scoreboard import (
    ACCEPTED,
    BYTES_IN,
    BYTES_OUT,
    CONNECTIONS,
    IN_FLIGHT,
    LAG,
    LAG_MAX,
    LATENCY,
    LATENCY_SUM,
    OWED,
    PASSED_ON,
    QUEUED,
    REQUESTS,
    SHED,
    SHED_LATE,
    STATUS,
    WAITING,
    WORDS,
    add_counters,
)
from corepod.supervisor.health.procfs import cpu_time, rss
from corepod.supervisor.launch import sockets
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any

    from corepod.supervisor.health.checks import Checks
    from corepod.supervisor.health.procfs import Cgroup
    from corepod.supervisor.health.recycling import Recycling
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.hooks.runner import Hooks
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Slot


class PoolStatus:
    """A read-only view of a pool."""

    def __init__(
        self,
        pool: Pool,
        checks: Checks,
        scoreboard: SharedScoreboard,
        cgroup: Cgroup,
        log: StreamLog,
        listeners: list[socket],
        *,
        about: dict[str, Any],
        clock: Callable[[], float],
    ) -> None:
        """`about` is what doesn't change; `clock` is the pool's."""
        self._pool, self._checks, self._about, self._clock = pool, checks, about, clock
        self._scoreboard, self._cgroup, self._log, self._listeners = scoreboard, cgroup, log, listeners
        self._started_at = time.time()
        self.recycling: Recycling | None = None
        self.hooks: Hooks | None = None

    def live(self) -> tuple[bool, str]:
        """Whether the supervisor works and has not given up, and the reason."""
        return (False, "the pool has given up") if self._pool.exit_code else (True, "ok")

    def started(self) -> tuple[bool, str]:
        """Whether a worker has been ready at least once, and the reason."""
        return (True, "ok") if self._pool.ever_ready else (False, "no worker has been ready yet")

    def ready(self) -> tuple[bool, str]:
        """Whether a worker accepts connections, isn't stuck, and the pool isn't draining, and the reason."""
        if self._pool.stopping:
            return False, "draining"
        self._checks.look(self._clock(), asked=True)
        whys = set()
        for slot in self._pool.slots:
            ready, why = self._slot_ready(slot)
            if ready:
                return True, "ok"
            whys.add(why)
        return False, "; ".join(sorted(whys)) or "no slots"

    def draining(self) -> bool:
        """Whether the pool was asked to stop and does so in good order."""
        return self._pool.stopping and not self._pool.exit_code

    def state(self) -> str:
        if self._pool.stopping:
            return "draining" if self.draining() else "failed"
        return "ready" if self.ready()[0] else "starting"

    def document(self) -> dict[str, Any]:
        """The document that /status shows. Its slots are an iterator, which looks at a slot when its turn comes."""
        pool = self._pool
        generation = pool.generations.current
        template = generation.template
        return {
            "name": pool.settings.pool_name,
            "version": __version__,
            "pid": os.getpid(),
            "state": self.state(),
            "started_at": self._started_at,
            "app": pool.settings.app.partition("(")[0],  # a factory's arguments may be secrets
            "mode": "spawn" if template.forkable is False else "fork",
            **self._about,
            "reloading": pool.generations.reloading,
            "reloads": pool.generations.reloads,
            "next_recycling_at": self.recycling.next_at if self.recycling is not None else None,
            "leader": self._scoreboard.leader(),
            "hooks": self.hooks.counts() if self.hooks is not None else {},
            "last_event": self._log.events.last,
            "standby": {
                "mode": pool.settings.standby,
                "ready": bool(generation.standbys),
                "count": len(generation.standbys),
                "wanted": pool.settings.standbys if pool.settings.standby != "none" else 0,
            },
            "template": {
                "pid": template.process.pid if template.process else None,
                "state": "ready" if template.process else "absent",
            },
            "accept_queue": self._queue(),
            "log_lines_dropped": self._log.dropped,
            "supervisor": {"rss_bytes": rss("self"), "cpu_seconds": cpu_time("self")},
            "throttled_seconds": self._cgroup.throttled(),
            "slots": map(self._slot, list(pool.slots)),
        }

    def _queue(self) -> dict[str, int] | None:
        queues = [q for sock in self._listeners if (q := sockets.queue(sock))]
        if not queues:
            return None
        return {
            "length": sum(q["length"] for q in queues),
            "limit": sum(q["limit"] for q in queues),
        }

    def _slot_ready(self, slot: Slot) -> tuple[bool, str]:
        worker, number = slot.worker, slot.number
        if worker is None or worker.stage is not Stage.SERVING:
            state, why = self._checks.state(slot, draining=False), self._checks.starts.why(slot, self._clock())
            return False, f"slot {number} is {state}" + (f": {why}" if state == "starting" and why else "")
        if not worker.willing:
            return False, f"the application says: {worker.unwilling_why or 'not ready'}"
        watch = self._checks.watchdog(worker)
        if not watch.accepts(self._pool.settings):
            why = watch.why or ("all its threads have stalled" if watch.threads_stuck else "")
            return False, f"slot {number} has been {watch.state()} for {watch.lasting:.0f} s{why and ': ' + why}"
        return True, "ok"

    def _slot(self, slot: Slot) -> dict[str, Any]:
        pool, worker = self._pool, slot.worker
        words = list(slot.totals)
        for process in slot.processes:
            add_counters(words, self._scoreboard.words(process.record))
        # Values that aren't sums are those of the present worker.
        now_words = self._scoreboard.words(worker.record) if worker else [0] * WORDS
        busy = self._checks.busy(worker, self._clock()) if worker else 0.0
        ready, why = self._slot_ready(slot)
        return {
            "slot": slot.number,
            "worker": worker.number if worker else None,
            "core": slot.core,
            "pinned": slot.core is not None and not slot.unpinned,
            "pid": worker.pid if worker else None,
            "state": self._checks.state(slot, draining=pool.stopping),
            "ready": ready and not pool.stopping,
            "being_replaced": slot.being_replaced,
            "waits_for_turn": pool.waits_for_turn(slot),
            "why": slot.failed or ("" if ready else why),
            "replacing": slot.replacing,
            "replaced": dict(slot.replaced),
            "restarts": slot.restarts,
            "reasons": dict(slot.reasons),
            "started_at": worker.started_at if worker else None,
            "ready_at": worker.ready_at if worker else None,
            "last_exit": slot.last_exit,
            "requests": words[REQUESTS],
            "in_flight": sum(self._scoreboard.word(p.record, IN_FLIGHT) for p in slot.processes),
            "lost": slot.lost,
            "shed": words[SHED] + words[SHED_LATE],
            "shed_late": words[SHED_LATE],
            "queued_seconds": words[QUEUED] / 1e9,
            "waiting": now_words[WAITING],
            "busy": round(busy, 3),
            # Including retiring processes: a counter must not decrease during a reload.
            "cpu_seconds": slot.cpu_before + sum(p.cpu_seen for p in slot.processes),
            "rss_bytes": rss(worker.pid) if worker else None,
            "connections": sum(self._scoreboard.word(p.record, CONNECTIONS) for p in slot.processes),
            "accepted": words[ACCEPTED],
            "passed_on": words[PASSED_ON],
            "bytes_in": words[BYTES_IN],
            "bytes_out": words[BYTES_OUT],
            "status": words[STATUS : STATUS + 6],
            "latency": words[LATENCY:OWED],
            "latency_sum": words[LATENCY_SUM] / 1e9,
            "lag_seconds": now_words[LAG] / 1e9,
            "lag_max_seconds": now_words[LAG_MAX] / 1e9,
        }
