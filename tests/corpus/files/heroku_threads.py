# $ PORT=5000 WEB_CONCURRENCY=3 gunicorn -c heroku_threads.py hello.wsgi
import os

bind = f"0.0.0.0:{os.environ['PORT']}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("PYTHON_MAX_THREADS", "2"))
timeout = 60
accesslog = "-"
