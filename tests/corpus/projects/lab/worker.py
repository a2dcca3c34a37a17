from uvicorn.workers import UvicornWorker


class UvicornWorkerWithoutLifespan(UvicornWorker):
    CONFIG_KWARGS = {"lifespan": "off"}
