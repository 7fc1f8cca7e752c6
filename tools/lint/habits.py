#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are the habits kept that no ready tool checks? (doc/source/contributor/habits.rst explains them.)"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 500
SPDX = "# SPDX-License-Identifier: Apache-2.0"
#: The only places that may catch everything: the HTTP hook, the RPC endpoint, the step of a run.
EDGES = ("karbor/api/", "karbor/rpc/server.py", "karbor/protection/", "karbor/operationengine/engine.py")
#: Files that spell what must not occur.
ABOUT_HABITS = ("tools/lint/", "tests/tools/test_lint.py")
#: Files made by a tool.
GENERATED = ("karbor/db/migrations/versions/",)


@dataclass(frozen=True)
class Rule:
    """A pattern that must not occur in files whose path begins with ``where``, but for those in ``but``."""

    pattern: str
    where: tuple[str, ...]
    why: str
    but: tuple[str, ...] = ()


RULES = (
    Rule(r"\bimport eventlet|\bfrom eventlet", ("karbor/",), "threads only"),
    Rule(r"\bexcept Exception\b", ("karbor/",), "catch what you can handle", EDGES),
    Rule(r"\bexcept\s*:", ("karbor/", "tools/", "tests/"), "name what you catch"),
    Rule(r"\bunittest\.mock\b|\bfrom unittest import mock|\bmocker\b", ("tests/",), "use a memory twin; patch nothing"),
    Rule(r"\btime\.(time|monotonic)\(|\bdatetime\.now\(", ("karbor/",), "ask the clock handed in", ("karbor/common/",)),
    Rule(r"\bsubprocess\.(run|Popen|call|check_\w+)\(", ("karbor/",), "use karbor.common.command", ("karbor/common/",)),
    Rule(r"[^\w.]_\([\"']", ("karbor/",), "message texts are plain strings"),
    Rule(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", ("karbor/", "tests/"), "a TODO needs an issue number: TODO(#12)"),
    Rule(r"(?<![\w.{}$/*\"'-])/(home|Users|work)/\w", ("karbor/", "tests/", "doc/", "README"), "a path of one machine"),
    Rule(r"\b(utils|misc|helpers)\.py\b", ("karbor/",), "a name that says nothing"),
)


def tracked() -> list[str]:
    """The files of the tree; those that git knows, where there is git."""
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        names = asked.stdout.splitlines()
    else:
        names = [
            str(path.relative_to(ROOT))
            for top in ("karbor", "tests", "tools", "doc")
            for path in (ROOT / top).rglob("*")
        ]
    return [name for name in names if (ROOT / name).is_file() and name.endswith((".py", ".rst", ".sh", ".conf"))]


def by_pattern(name: str, text: str) -> Iterator[str]:
    """Breaches of RULES."""
    for rule in RULES:
        if not name.startswith(rule.where) or name.startswith(rule.but):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(rule.pattern, line):
                yield f"{name}:{number}: {rule.why}: {line.strip()[:80]}"


def by_shape(name: str, text: str) -> Iterator[str]:
    """Head, module docstring, length of the module and of its functions."""
    lines = text.splitlines()
    if SPDX not in lines[:2]:
        yield f"{name}:1: the first line must be {SPDX}"
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        yield f"{name}:1: say in a docstring which question this module answers"
    if len(lines) > MAX_MODULE_LINES and not any(line.startswith("# Long because") for line in lines):
        yield f"{name}: {len(lines)} lines; more than {MAX_MODULE_LINES} need two modules, or '# Long because ...'"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines; {MAX_FUNCTION_LINES} is the bound"


def main() -> int:
    """The exit code: 1 where a habit is broken."""
    found: list[str] = []
    for name in tracked():
        if name.startswith((*GENERATED, *ABOUT_HABITS)):
            continue
        text = (ROOT / name).read_text()
        found += by_pattern(name, text)
        if name.endswith(".py") and text.strip():
            found += by_shape(name, text)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
