# $ gunicorn -c package_index.py index.wsgi:application
import os

bind = "0.0.0.0:8000"
preload_app = True
worker_tmp_dir = "/dev/shm"
max_requests = 2048
max_requests_jitter = 128
keepalive = 10
statsd_host = os.environ.get("STATSD_HOST", "localhost:8125")
statsd_prefix = "index"
access_log_format = '%({client-ip}i)s %(t)s "%(m)s %(U)s" %(s)s %(B)s %(D)s'
accesslog = "-"
