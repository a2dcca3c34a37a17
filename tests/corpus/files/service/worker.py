from uvicorn.workers import UvicornWorker


class HeaderlessWorker(UvicornWorker):
    CONFIG_KWARGS = {"loop": "asyncio", "http": "h11", "server_header": False}
