class Logger:
    """What configurations derive from."""

    def __init__(self, cfg):
        self.cfg = cfg

    def access(self, resp, req, environ, request_time):
        """Write the line of a request."""
