"""The cluster that the person's kubeconfig names, and its errors in words that say what to do."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL, EXIT_SETTINGS
from corepod.local.pools import CommandError
from corepod.operator.api.cluster import Cluster
from corepod.operator.api.errors import ConnectError, Forbidden, NotFound, Unauthorized, Unreachable
from corepod.operator.api.transport import Credentials, Transport

if TYPE_CHECKING:
    from argparse import Namespace

    from corepod.operator.api.errors import ClusterError

AGENT = "kubectl-corepod"
PATIENCE = 15.0  # seconds for a response of the API server


class Access(NamedTuple):
    """`namespace` is the one that was asked for, empty for all of them; `selector` is a label selector, or empty."""

    transport: Transport
    cluster: Cluster
    namespace: str
    selector: str

    @property
    def where(self) -> str:
        return f"namespace {self.namespace}" if self.namespace else "any namespace"


def connect(options: Namespace) -> Access:
    """Raises CommandError."""
    # It warns of each connection beyond those that it keeps, which would be in the middle of a table.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    kubeconfig = options.kubeconfig or os.environ.get("KUBECONFIG") or None
    try:
        transport = Transport(Credentials(kubeconfig, options.context or None), os.environ, AGENT)
        namespace = "" if options.all_namespaces else options.namespace or transport.namespace()
    except ConnectError as error:
        raise CommandError(f"{error}; see kubectl config get-contexts, or use --kubeconfig", EXIT_SETTINGS) from error
    return Access(transport, Cluster(transport, PATIENCE), namespace, options.selector)


def told(error: ClusterError) -> CommandError:
    """The error for people."""
    if isinstance(error, Unreachable):
        return CommandError(f"the API server can't be reached: {error}", EXIT_NO_POOL)
    if isinstance(error, Unauthorized):
        return CommandError(f"the API server doesn't accept the credentials of this context: {error}", EXIT_FAILED)
    if isinstance(error, Forbidden):
        hint = "docs/kubectl.md has a Role with all that kubectl corepod needs"
        return CommandError(f"a permission is missing: {error}; {hint}", EXIT_FAILED)
    return CommandError(str(error), EXIT_NO_POOL if isinstance(error, NotFound) else EXIT_FAILED)
