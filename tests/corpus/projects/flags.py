# $ gunicorn -c flags.py flags.wsgi
import os

bind = "0.0.0.0:8000"
workers = int(os.getenv("GUNICORN_WORKERS", "3"))
threads = int(os.getenv("GUNICORN_THREADS", "2"))
worker_tmp_dir = "/dev/shm"
timeout = int(os.getenv("GUNICORN_TIMEOUT", "30"))
keepalive = 2
statsd_host = os.getenv("STATSD", "localhost:8125")
accesslog = os.getenv("ACCESS_LOG_LOCATION", "/dev/null")
logger_class = "flags.logs.RedactingLogger"
