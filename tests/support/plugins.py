# SPDX-License-Identifier: Apache-2.0
"""How does a test install a package with entry points, for as long as it runs?"""

import sys
import uuid
from pathlib import Path


class Packages:
    """Packages in a directory on the import path. Every one has names of its own, so that nothing is cached."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.namespace = f"karbor.test_{uuid.uuid4().hex}"

    def install(self, source: str, **entry_points: str) -> str:
        """Install a module with ``source``; entry points map a name (``_`` for ``-``) to an attribute of it.

        Returns the module's name.
        """
        module = f"karbor_test_{uuid.uuid4().hex}"
        (self._directory / f"{module}.py").write_text(source)
        info = self._directory / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name.replace('_', '-')} = {module}:{attribute}" for name, attribute in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{self.namespace}]", *lines, ""]))
        return module

    def uninstall_all(self) -> None:
        """Forget the modules that were imported."""
        for path in self._directory.glob("*.py"):
            sys.modules.pop(path.stem, None)
