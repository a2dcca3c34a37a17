"""How many pods each workload is to have: facts and the time in, numbers and reasons out.

No client, no clock and no log: what is remembered between two calls are numbers and when they were seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator import wish
from corepod.operator.capacity import rooms
from corepod.operator.cases import Courses
from corepod.operator.decision import Decision, Outcome
from corepod.operator.doubt import Doubt
from corepod.operator.read import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.capacity import Room
    from corepod.operator.cases import Case, Hold
    from corepod.operator.view import View

WAIT = 60.0  # seconds that less has to be wished for before pods are removed


class Sizing:
    """Decides for all workloads together, because they share the nodes."""

    def __init__(self, wait: float = WAIT) -> None:
        self._doubt = Doubt()
        self._courses = Courses(wait)

    def decide(self, view: View, *, silence: float, now: float) -> list[Decision]:
        """One decision for each workload that is looked after, in the order of their keys.

        `silence`: seconds since the facts were last known to hold. `now`: of a clock that is never set. The view is
        used up.
        """
        ready = sum(node.ready for node in view.nodes.values())
        doubt = self._doubt.why(ready=ready, silence=silence, now=now)
        cases = self._courses.cases(view, now)
        found = rooms(view, filter(None, [case.applicant(now) for case in cases]))
        return [self._decide(view, case, found.get(case.workload.key), doubt, now) for case in cases]

    def wrote(self, decision: Decision, now: float) -> None:
        """The decision's number has been written; what the watch shows for a moment is older."""
        self._courses.wrote(decision.key, decision.number, now)

    def _decide(self, view: View, case: Case, room: Room | None, doubt: str, now: float) -> Decision:
        wanted, message = _wish(view, case, room, now)
        course, hold = case.course, case.hold or _no_ground(view, case, room, doubt)
        if hold:
            course.steady.keep(case.current, now)
            (outcome, message), number = hold, case.current
        else:
            running = room.placed if room and case.gives_up_waiting else case.current
            number = course.steady.settle(wanted, current=case.current, running=running, now=now)
            outcome = Outcome.SIZED if number == wanted else Outcome.WAITS
        dues = [due for due in (*course.due(now), self._doubt.due) if due is not None]
        return Decision(
            key=case.workload.key,
            outcome=outcome,
            current=case.current,
            number=number,
            message=message,
            scaler=case.scaler,
            least=_least(case, number, hold),
            notes=tuple(_notes(case, room, now)),
            due=min(dues, default=None),
            room=room,
        )


def _wish(view: View, case: Case, room: Room | None, now: float) -> tuple[int, str]:
    """The number, and what it is made of."""
    rules = case.rules
    if case.hold:
        return case.current, ""
    if room is None:
        totals = wish.totals(view.nodes.values(), case.demand, rules)
        all_of = (
            f"{totals.cores} cores on {totals.nodes} nodes ({totals.all_cores} on {totals.all_nodes} with all others)"
        )
        return wish.proportional(totals, rules), f"{rules.mode}: {all_of}"
    if case.scaler:
        return wish.bounds(room, rules)[1], _made_of(room, wish.headroom(room, rules))
    setbacks = case.course.setbacks
    setbacks.wait(case.pods, room=bool(room.dealt), now=now)
    number = wish.after_setback(
        wish.fit(room, rules, current=case.current), room, setbacks, current=case.current, now=now
    )
    return wish.clamped(number, rules), setbacks.why(now) or _made_of(room, wish.headroom(room, rules))


def _made_of(room: Room, headroom: int) -> str:
    free = sum(room.dealt.values())
    kept = f", {headroom} of them left free for rollouts" if headroom else ""
    return f"room for {room.total} pods: {room.has} in use, {free} free{kept}"


def _no_ground(view: View, case: Case, room: Room | None, doubt: str) -> Hold | None:
    """Why the wish isn't to be trusted."""
    if doubt:
        return Outcome.DOUBT, doubt
    if room is not None:
        foreign = not room.usable and room.tempted
    else:
        foreign = not case.rules.counts_autoscaled and all(node.autoscaler for node in view.nodes.values())
    if foreign:
        ways = f"set {DOMAIN}mode to hpa-bounds, or {DOMAIN}autoscaler-nodes to true"
        return Outcome.AUTOSCALER, f"all nodes that it could use belong to an autoscaler; {ways}"
    return None


def _least(case: Case, number: int, hold: Hold | None) -> int:
    if case.scaler is None:
        return 0
    return case.scaler.least if hold else min(case.rules.least, number)


def _notes(case: Case, room: Room | None, now: float) -> Iterator[str]:
    yield from case.reading.unknown
    if room is None:
        return
    if case.demand.unclear:
        yield f"not looked at: {', '.join(case.demand.unclear)}"
    if not room.usable and not room.tempted:
        yield "no node takes its pods: see node selector, affinity, taints and cordons"
    if case.rules.least > room.total + room.leaning:
        yield f"{DOMAIN}min asks for {case.rules.least} pods, but there is room for {room.total + room.leaning}"
    if room.leaning:
        yield f"{room.leaning} pods run on nodes of an autoscaler, which don't count"
