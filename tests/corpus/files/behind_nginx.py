# $ gunicorn -c behind_nginx.py blog.wsgi
bind = "unix:/run/blog/blog.sock"
workers = 3
umask = 0o007
user = "www-data"
group = "www-data"
accesslog = "/var/log/blog/access.log"
errorlog = "/var/log/blog/error.log"
loglevel = "warning"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
