# $ gunicorn -c wsgi_app_raw.py
wsgi_app = "museum.wsgi:application"
pythonpath = "/srv/museum/src"
bind = "127.0.0.1:9000"
timeout = 3600
graceful_timeout = 3600
limit_request_line = 0
limit_request_field_size = 16380
accesslog = None
errorlog = "/var/log/museum/gunicorn.log"
daemon = True
pidfile = "/run/museum.pid"
