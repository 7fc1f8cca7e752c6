#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does every unit test stand where its product module stands?

tests/unit/vault/test_pack.py belongs to karbor/vault/pack.py. A test of a whole package carries the package's name:
tests/unit/rpc/test_rpc.py belongs to karbor/rpc/. A test that belongs to nothing is a test nobody finds.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def orphans(root: Path) -> list[str]:
    """Unit tests without a product module, relative to ``root``."""
    tests, product = root / "tests" / "unit", root / "karbor"
    found = []
    for path in sorted(tests.rglob("test_*.py")):
        place = path.relative_to(tests).parent
        name = path.stem.removeprefix("test_")
        of_module = (product / place / f"{name}.py").exists()
        of_package = (product / place).is_dir() and place.name == name
        if not (of_module or of_package):
            found.append(f"{path.relative_to(root)}: there is no {(Path('karbor') / place / name).with_suffix('.py')}")
    return found


def main() -> int:
    """The exit code: 1 where a test stands alone."""
    found = orphans(ROOT)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
