# $ gunicorn -c wsgi_app_named.py
import os

wsgi_app = "school.wsgi:application"
chdir = "/srv/school"
bind = "unix:/run/gunicorn/school.sock"
workers = 3
worker_class = "sync"
worker_tmp_dir = "/dev/shm"
timeout = 30
max_requests = 1000
max_requests_jitter = 50
accesslog = os.getenv("ACCESS_LOG", "/var/log/school/access.log")
errorlog = "/var/log/school/error.log"
user = "school"
group = "www-data"
proc_name = "school"
