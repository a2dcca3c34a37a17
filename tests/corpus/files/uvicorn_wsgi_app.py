# $ gunicorn -c uvicorn_wsgi_app.py
import multiprocessing
import os

wsgi_app = "events.main:app"
bind = "0.0.0.0:8000"
workers = int(os.getenv("WEB_CONCURRENCY", multiprocessing.cpu_count()))
worker_class = "uvicorn.workers.UvicornWorker"
keepalive = 5
max_requests = 10000
max_requests_jitter = 1000
preload_app = False
access_log_format = '%(t)s %({x-real-ip}i)s "%(r)s" %(s)s %(D)s'
