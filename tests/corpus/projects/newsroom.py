# $ WEB_CONCURRENCY=2 gunicorn -c newsroom.py newsroom.wsgi
import os

bind = "0.0.0.0:8000"
workers = int(os.environ["WEB_CONCURRENCY"])
worker_tmp_dir = "/dev/shm"
timeout = 120
errorlog = "-"
loglevel = "info"
proc_name = "newsroom"
control_socket_disable = True
