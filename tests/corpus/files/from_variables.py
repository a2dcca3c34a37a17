# $ gunicorn -k uvicorn.workers.UvicornWorker -c from_variables.py main:app
"""Everything from variables, as the image of a well-known framework reads them."""
import json
import multiprocessing
import os

per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
most = int(os.getenv("MAX_WORKERS", "0"))
given = os.getenv("WEB_CONCURRENCY")
count = int(given) if given else max(int(per_core * multiprocessing.cpu_count()), 2)
if most and not given:
    count = min(count, most)
address = os.getenv("BIND") or f"{os.getenv('HOST', '0.0.0.0')}:{os.getenv('PORT', '80')}"

bind = address
workers = count
loglevel = os.getenv("LOG_LEVEL", "info")
accesslog = os.getenv("ACCESS_LOG", "-") or None
errorlog = os.getenv("ERROR_LOG", "-") or None
worker_tmp_dir = "/dev/shm"
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))

print(json.dumps({"workers": workers, "bind": bind, "loglevel": loglevel, "per_core": per_core}))
