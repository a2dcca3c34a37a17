from uvicorn.workers import UvicornWorker


class LifespanWorker(UvicornWorker):
    CONFIG_KWARGS = {"loop": "uvloop", "lifespan": "on", "ws": "websockets", "server_header": False}
