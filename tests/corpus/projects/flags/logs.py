import re

from gunicorn.glogging import Logger


class RedactingLogger(Logger):
    def atoms(self, resp, req, environ, request_time):
        found = super().atoms(resp, req, environ, request_time)
        return {**found, "r": re.sub(r"key=[^&\s]+", "key=...", found["r"])}
