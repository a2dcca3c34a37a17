# $ gunicorn -c surveys.py surveys.wsgi
import os

bind = os.getenv("SURVEYS_BIND", "0.0.0.0:8080")
loglevel = os.getenv("LOG_LEVEL", "info")
accesslog = "-"
graceful_timeout = 30
