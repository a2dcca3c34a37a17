# $ gunicorn -c logs_to_json.py billing.asgi:application
import os

bind = f"0.0.0.0:{os.getenv('APP_PORT', '8000')}"
workers = int(os.getenv("APP_WORKERS", "3"))
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 120
keepalive = 10
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": '{"time": "%(asctime)s", "level": "%(levelname)s", "text": "%(message)s"}'}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stdout"}},
    "root": {"level": "INFO", "handlers": ["out"]},
    "loggers": {"gunicorn.access": {"level": "INFO", "handlers": ["out"], "propagate": False}},
}
