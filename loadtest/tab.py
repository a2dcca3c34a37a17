"""Additions to Locust's web page: a tab that shows the workers, and the report and the run so far."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from loadtest.balance import balance
from loadtest.report.page import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.run import Run
    from loadtest.tally import Tally

KEY = "corepod-workers"
COLUMNS = {
    "place": "Worker",
    "node": "Node",
    "core": "Core",
    "pid": "Pid",
    "answers": "Answers",
    "share": "Share",
    "processes": "Processes so far",
}
MOST = 200  # rows: the page is drawn again every two seconds


def extend(web_ui: Any, tally: Callable[[], Tally], run: Callable[[], Run]) -> None:
    """Add the tab, /report and /run.json to Locust's page."""
    web_ui.template_args["extended_tabs"] = [{"title": "Workers", "key": KEY}]
    web_ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS.items()]}
    ]
    pages = Blueprint("corepod", __name__)

    @pages.route("/report")
    @web_ui.auth_required_if_enabled
    def report() -> Response:
        return Response(render(run()), mimetype="text/html")

    @pages.route("/run.json")
    @web_ui.auth_required_if_enabled
    def document() -> Response:
        return Response(json.dumps(run().as_dict()), mimetype="application/json")

    @web_ui.app.after_request
    def with_workers(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.json:
            response.set_data(json.dumps({**response.json, "extended_stats": [{"key": KEY, "data": rows(tally())}]}))
        return response

    web_ui.app.register_blueprint(pages)


def rows(tally: Tally) -> list[dict[str, Any]]:
    """A row for each place; core and pid are those of the process that answered last."""
    shares = balance(tally.workers)
    found = []
    for place, answers in list(shares.counts.items())[:MOST]:
        here = [(seen.last, worker) for worker, seen in tally.workers.items() if worker.place == place]
        _, worker = max(here)
        found.append(
            {
                "place": place,
                "node": worker.node or "",
                "core": "" if worker.core is None else worker.core,
                "pid": worker.pid,
                "answers": answers,
                "share": f"{shares.shares[place]:.1%}",
                "processes": len({worker.pid for _, worker in here}),
            }
        )
    return found
