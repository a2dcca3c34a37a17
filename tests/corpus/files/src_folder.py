# $ gunicorn -c src_folder.py tracker.wsgi:application
import os

chdir = os.path.dirname(os.path.abspath(__file__))
pythonpath = "src"
bind = "0.0.0.0:8000"
workers = 3
threads = 2
timeout = 120
reload = os.environ.get("DJANGO_DEBUG") == "1"
accesslog = "-"
errorlog = "-"
