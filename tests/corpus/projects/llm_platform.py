# $ gunicorn -c llm_platform.py platform_api:app
import os

bind = f"{os.getenv('LLM_BIND_ADDRESS', '0.0.0.0')}:{os.getenv('LLM_PORT', '5001')}"
workers = int(os.getenv("SERVER_WORKER_AMOUNT", "1"))
worker_class = os.getenv("SERVER_WORKER_CLASS", "gevent")
worker_connections = int(os.getenv("SERVER_WORKER_CONNECTIONS", "10"))
timeout = int(os.getenv("GUNICORN_TIMEOUT", "200"))


def post_fork(server, worker):
    import psycogreen.gevent

    psycogreen.gevent.patch_psycopg()
    server.log.info("database driver is patched")
