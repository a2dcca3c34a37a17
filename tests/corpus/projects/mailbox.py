# $ gunicorn -c mailbox.py mailbox.wsgi
import os

bind = os.getenv("MAILBOX_LISTEN", "0.0.0.0:8000")
workers = int(os.getenv("WEB_CONCURRENCY", "4"))
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
reload = os.getenv("MAILBOX_ENV") == "development"
