"""What can go wrong at the API server, in the operator's own words."""

from __future__ import annotations


class ClusterError(Exception):
    """Any failure to read from the cluster or to write to it."""


class ConnectError(ClusterError):
    """There is no usable configuration: no kubeconfig, no such context, not in a pod."""


class Unreachable(ClusterError):
    """No answer: refused, reset, cut off or too late."""


class Nonsense(ClusterError):
    """An answer that no API server gives, such as a proxy's page or half of a document."""


class Refused(ClusterError):
    """An answer that says no. `retry_after` is in seconds, None where the server didn't say."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status, self.reason, self.retry_after = status, reason, retry_after


class Unauthorized(Refused):
    """401: the token or certificate isn't accepted, or not any more."""


class Forbidden(Refused):
    """403: a role is missing."""


class NotFound(Refused):
    """404: the object, or the API group, isn't there."""


class Conflict(Refused):
    """409: the object has changed since it was read, or is there already."""


class Gone(Refused):
    """410: what is asked for is older than what the server keeps; list again."""


class Changed(Refused):
    """422: a patch's condition doesn't hold any more, or the new value isn't valid."""


class Busy(Refused):
    """429: too many requests."""


BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Changed,
    429: Busy,
}


def refused(status: int, reason: str, message: str, retry_after: float | None = None) -> Refused:
    """The error for a status, so that callers can name what they handle."""
    return BY_STATUS.get(status, Refused)(status, reason, message, retry_after)
