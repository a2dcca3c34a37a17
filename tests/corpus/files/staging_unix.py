# $ gunicorn -c staging_unix.py staging.wsgi
import multiprocessing

chdir = "/srv/staging"
bind = "unix:/srv/staging/run/gunicorn.sock"
workers = multiprocessing.cpu_count() * 2 + 1
loglevel = "error"
errorlog = "/srv/staging/log/gunicorn.log"
proc_name = "staging"
umask = 0o007
daemon = False
