# SPDX-License-Identifier: Apache-2.0
"""Where does the master key come from: a file of the operator, or a key manager?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from karbor.vault.keys import MasterKey
from karbor.vault.wrapping import MasterKeys

FILE, CASTELLAN = "file", "castellan"


@dataclass(frozen=True)
class KeySource:
    """What the settings say. ``key`` and ``others`` are paths of files, or ids of secrets of the key manager, which
    gets ``seconds`` for each of them."""

    kind: str
    key: str
    others: Sequence[str] = ()
    castellan_config: Path | None = None
    seconds: float = 20

    def load(self) -> MasterKeys:
        """The keys, asked for anew each time.

        Raises KeyManagerUnavailable where that may pass, KeyUnavailable where it does not, ConfigurationError.
        """
        current, *others = self._loaded([self.key, *self.others])
        return MasterKeys(current, others)

    def _loaded(self, names: Sequence[str]) -> Sequence[MasterKey]:
        if self.kind == FILE:
            return [MasterKey.load(Path(name)) for name in names]
        from karbor.vault.castellankeys import CastellanKeys  # noqa: PLC0415 - an optional library

        manager = CastellanKeys(self.castellan_config, seconds=self.seconds)
        return [manager.load(name) for name in names]
