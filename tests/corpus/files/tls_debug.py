# $ DEBUG=1 gunicorn -c tls_debug.py desk.wsgi
import os

bind = "0.0.0.0:8000"
workers = 2
threads = 2
reload = bool(os.getenv("DEBUG"))
timeout = 120
accesslog = "-"
errorlog = "-"
loglevel = "debug" if os.getenv("DEBUG") else "info"
capture_output = True
if "SSL_DIR" in os.environ:
    certfile = os.path.join(os.environ["SSL_DIR"], "cert.pem")
    keyfile = os.path.join(os.environ["SSL_DIR"], "key.pem")
