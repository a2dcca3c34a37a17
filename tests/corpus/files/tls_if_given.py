# $ gunicorn -c tls_if_given.py vault:app
import os

bind = os.getenv("BIND", "0.0.0.0:8443")
workers = int(os.getenv("WORKERS", "2"))
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 60
keepalive = 5
forwarded_allow_ips = os.getenv("TRUSTED", "127.0.0.1")
loglevel = os.getenv("LOG_LEVEL", "info").lower()
if os.getenv("TLS_CERT"):
    certfile = os.environ["TLS_CERT"]
    keyfile = os.environ["TLS_KEY"]
