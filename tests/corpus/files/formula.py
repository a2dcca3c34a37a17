# $ gunicorn -c formula.py library.wsgi:application
import multiprocessing

bind = "127.0.0.1:8000"
workers = multiprocessing.cpu_count() * 2 + 1
timeout = 30
keepalive = 2
preload_app = True
