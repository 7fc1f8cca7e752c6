# SPDX-License-Identifier: Apache-2.0
"""How does a plug-in let a guest read a checkpoint that is being restored or tried? Streams that are lent over NBD."""

from collections.abc import Mapping
from typing import Protocol

from karbor.model.resource import ResourceKey


class Lent(Protocol):
    """Streams of one name, of some resources, offered read-only behind a socket of this host.

    A process of its own serves them. It outlives this worker: who goes on with the work finds it again, under the same
    names. All methods may be called again.
    """

    #: Path of the socket. Whoever may use it may read all that is lent.
    socket: str
    #: Name of the NBD export of each resource; with one alone, the empty name.
    names: Mapping[ResourceKey, str]

    def keep_up(self) -> None:
        """See that it serves. To be called again and again: where it died, it is begun anew, with a new socket.

        Raises Unavailable where it cannot serve at present, StepFailed where it never will, Cancelled and LeaseLost.
        """
        ...

    def end(self) -> None:
        """Serve no more, and remove every trace."""
        ...
