#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How do the committed API document, its samples and its pages come to be? From the declared operations.

tools/genapi.py            writes api-ref/openapi.json, api-ref/samples/*.json and api-ref/*.rst
tools/genapi.py --check    fails where the committed files differ, and says which
"""

import argparse
import json
import sys
from pathlib import Path

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema import apiref, openapi
from karbor.schema.samples import sample

ROOT = Path(__file__).resolve().parent.parent / "api-ref"


def wanted() -> dict[str, str]:
    """Every file below api-ref that is generated, with its content."""
    document = openapi.document(ENDPOINTS)
    values = {"openapi.json": document}
    for endpoint in ENDPOINTS:
        declared = endpoint.operation
        for kind, schema in (("request", declared.body), ("response", declared.response)):
            if schema:
                values[f"samples/{endpoint.id}-{kind}.json"] = sample(schema)
    texts = {name: json.dumps(value, indent=2, sort_keys=False) + "\n" for name, value in values.items()}
    return texts | apiref.pages(document)


def _generated(root: Path) -> list[Path]:
    """What is there of such files."""
    return [*root.glob("openapi.json"), *root.glob("samples/*.json"), *root.glob("*.rst")]


def differences(root: Path = ROOT) -> list[str]:
    """The files that are missing, differ, or are not generated any more."""
    expected = wanted()
    found = {str(path.relative_to(root)): path for path in _generated(root)}
    wrong = [name for name, text in expected.items() if name not in found or found[name].read_text() != text]
    return sorted(wrong + [name for name in found if name not in expected])


def write(root: Path = ROOT) -> None:
    """Make api-ref what it should be."""
    expected = wanted()
    (root / "samples").mkdir(parents=True, exist_ok=True)
    for path in _generated(root):
        if str(path.relative_to(root)) not in expected:
            path.unlink()
    for name, text in expected.items():
        (root / name).write_text(text)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail where files differ")
    if not parser.parse_args().check:
        write()
        return 0
    wrong = differences()
    for name in wrong:
        print(f"api-ref/{name} differs from the declared operations; run tools/genapi.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
