# $ gunicorn -c ipv6_stack.py atlas:app
import os

bind = "[::]:8000"
workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
loglevel = "info"
timeout = 45
keepalive = 65
forwarded_allow_ips = "*"
limit_request_line = 8190
