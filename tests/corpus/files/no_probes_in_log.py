# $ PORT=8000 gunicorn -c no_probes_in_log.py stock:app
import os

from gunicorn.glogging import Logger

bind = "0.0.0.0:" + os.getenv("PORT", "8000")
workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
accesslog = "-"
errorlog = "-"
loglevel = os.getenv("LOG_LEVEL", "info")


class QuietLogger(Logger):
    """Nothing about probes."""

    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)


logger_class = QuietLogger
