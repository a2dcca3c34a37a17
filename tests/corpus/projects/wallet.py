# $ gunicorn -c wallet.py wallet.wsgi
bind = "0.0.0.0:8000"
workers = 2
timeout = 120
accesslog = "-"
errorlog = "-"
threads = 4
chdir = "/srv/wallet"
limit_request_field_size = 8190
