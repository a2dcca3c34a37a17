# $ gunicorn -c crawler_gevent.py crawler:app
import multiprocessing

bind = "0.0.0.0:5000"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "gevent"
worker_connections = 1000
timeout = 30
backlog = 2048
daemon = True
pidfile = "/tmp/crawler.pid"
accesslog = "/var/log/crawler/access.log"
errorlog = "/var/log/crawler/error.log"
loglevel = "info"
