# SPDX-License-Identifier: Apache-2.0
"""How does one try a plug-in that lends streams without a process that serves them? A twin over a shelf."""

from collections.abc import Mapping

from karbor.model.resource import ResourceKey
from karbor.sdk.lending import Lent

#: What is lent just now: by socket, then by name of the export. ``MemoryHypervisor.lent`` is one.
Shelf = dict[str, dict[str, bytes]]


class TwinLent(Lent):
    """Puts ``content`` on the shelf. ``keep_up`` raises what ``failing`` holds, as long as it holds anything."""

    def __init__(self, socket: str, content: Mapping[ResourceKey, bytes], shelf: Shelf) -> None:
        self.socket = socket
        self.names: Mapping[ResourceKey, str] = {key: "" if len(content) == 1 else key.text for key in content}
        self.failing: list[Exception] = []
        self._content, self._shelf = content, shelf

    def keep_up(self) -> None:
        """See Lent."""
        if self.failing:
            raise self.failing.pop()
        self._shelf[self.socket] = {self.names[key]: data for key, data in self._content.items()}

    def end(self) -> None:
        """See Lent."""
        self._shelf.pop(self.socket, None)
