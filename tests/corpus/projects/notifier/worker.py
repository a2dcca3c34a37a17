import eventlet
from gunicorn.workers.geventlet import EventletWorker


class TimedEventletWorker(EventletWorker):
    def handle(self, listener, client, addr):
        with eventlet.Timeout(self.cfg.settings["timeout"].get()):
            super().handle(listener, client, addr)
