"""What can go wrong in talking to the API server."""

from __future__ import annotations


class ClusterError(Exception):
    """Reading from the cluster or writing to it failed."""


class ConnectError(ClusterError):
    """There is no usable configuration: no kubeconfig, no such context, or not running in a pod."""


class Unreachable(ClusterError):
    """No response: the connection was refused, reset or cut off, or the response came too late."""


class InvalidResponse(ClusterError):
    """A response that no API server sends, such as a proxy's error page or half a document."""


class StatusError(ClusterError):
    """The API server refused the request. `retry_after` is in seconds, None if the server didn't say."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status, self.reason, self.retry_after = status, reason, retry_after


class Unauthorized(StatusError):
    """401: the token or certificate isn't accepted, or no longer."""


class Forbidden(StatusError):
    """403: a role doesn't allow the request."""


class NotFound(StatusError):
    """404: the object or the API group doesn't exist."""


class Conflict(StatusError):
    """409: the object has changed since it was read, or exists already."""


class Gone(StatusError):
    """410: the requested version is older than what the server keeps. A new list is needed."""


class Changed(StatusError):
    """422: the condition of a patch doesn't hold any more, or the new value is invalid."""


class TooManyRequests(StatusError):
    """429: too many requests."""


BY_STATUS: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Changed,
    429: TooManyRequests,
}


def refused(status: int, reason: str, message: str, retry_after: float | None = None) -> StatusError:
    """The error for a status, so that callers can name what they handle."""
    return BY_STATUS.get(status, StatusError)(status, reason, message, retry_after)
