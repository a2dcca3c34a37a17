# $ gunicorn -c shop_gevent.py shop.wsgi:app
bind = "127.0.0.1:5000"
workers = 4
worker_class = "gevent"
worker_connections = 10
timeout = 120
daemon = False
loglevel = "info"
accesslog = "logs/access.log"
errorlog = "logs/error.log"
