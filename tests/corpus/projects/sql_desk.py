# $ gunicorn -c sql_desk.py run_desk:app
"""One worker: jobs that run are kept in its memory."""
import os

bind = f"{os.getenv('DESK_LISTEN_ADDRESS', '[::]')}:{os.getenv('DESK_LISTEN_PORT', '80')}"
workers = 1
threads = int(os.getenv("GUNICORN_THREADS", "25"))
worker_class = "gthread"
accesslog = os.getenv("GUNICORN_ACCESS_LOGFILE", "-")
errorlog = "-"
keepalive = 5
limit_request_line = int(os.getenv("GUNICORN_LIMIT_REQUEST_LINE", "8190"))
control_socket_disable = True
certfile = os.getenv("DESK_CERT") or None
