# $ PORT=8000 gunicorn -c forum.py forum.wsgi
import os

bind = f"0.0.0.0:{os.environ['PORT']}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
accesslog = "-"
errorlog = "-"
loglevel = "info"
chdir = "/srv"
pythonpath = "/srv/forum"
