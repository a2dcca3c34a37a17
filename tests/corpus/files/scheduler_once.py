# $ gunicorn -c scheduler_once.py reports:app
import os

bind = "0.0.0.0:5000"
workers = int(os.getenv("WORKERS", "2"))
worker_class = "gthread"
threads = 4
timeout = 120
preload_app = True
errorlog = "-"


def when_ready(server):
    from reports.jobs import scheduler

    scheduler.start()
    server.log.info("the scheduler runs in the master")


def on_exit(server):
    from reports.jobs import scheduler

    scheduler.shutdown()
