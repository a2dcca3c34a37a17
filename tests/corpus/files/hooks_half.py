# $ gunicorn -c hooks_half.py tickets:create_app()
bind = "0.0.0.0:8080"
workers = 5
worker_class = "sync"
worker_connections = 1000
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
graceful_timeout = 30
timeout = 30
keepalive = 2
max_requests = 5000
max_requests_jitter = 500
proc_name = "tickets"
accesslog = "/var/log/tickets/access.log"
errorlog = "/var/log/tickets/error.log"
loglevel = "info"


def on_starting(server):
    server.log.info("tickets starts")


def pre_exec(server):
    server.log.info("a new master is made")


def post_worker_init(worker):
    from tickets.search import client

    client.connect_again()


def pre_request(worker, req):
    worker.served = getattr(worker, "served", 0) + 1
