# SPDX-License-Identifier: Apache-2.0
"""Do our own lints find what they are for, and nothing else?"""

import pytest

from tools.lint import habits, mirror

HEAD = f'{habits.SPDX}\n"""Which question?"""\n'


def _touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_unit_test_belongs_to_a_module_or_to_a_package(tmp_path):
    for name in ("karbor/vault/pack.py", "tests/unit/vault/test_pack.py", "tests/unit/vault/test_vault.py"):
        _touch(tmp_path / name)
    assert mirror.orphans(tmp_path) == []


def test_a_unit_test_of_nothing_is_named(tmp_path):
    _touch(tmp_path / "karbor/vault/pack.py")
    _touch(tmp_path / "tests/unit/vault/test_gone.py")
    assert mirror.orphans(tmp_path) == ["tests/unit/vault/test_gone.py: there is no karbor/vault/gone.py"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("karbor/vault/a.py", "import eventlet"),
        ("karbor/vault/a.py", "except Exception:"),
        ("karbor/vault/a.py", "now = time.time()"),
        ("karbor/vault/a.py", "subprocess.run(['ls'])"),
        ("tests/unit/test_a.py", "from unittest import mock"),
        ("karbor/model/a.py", "# TODO: later"),
        ("doc/source/a.rst", "see /home/somebody/notes"),
    ],
)
def test_a_broken_habit_is_found(name, line):
    assert len(list(habits.by_pattern(name, line))) == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("karbor/common/command.py", "subprocess.run(['ls'])"),
        ("karbor/rpc/server.py", "except Exception:"),
        ("karbor/model/a.py", "# TODO(#12): later"),
        ("doc/source/a.rst", "in karbor/vault and tests/work/x"),
    ],
)
def test_what_is_allowed_is_not_reported(name, line):
    assert list(habits.by_pattern(name, line)) == []


def test_a_module_needs_its_head_and_its_question():
    assert list(habits.by_shape("a.py", HEAD)) == []
    assert len(list(habits.by_shape("a.py", "x = 1\n"))) == 2


def test_a_long_function_is_found():
    body = "    x = 1\n" * habits.MAX_FUNCTION_LINES
    (found,) = habits.by_shape("a.py", f"{HEAD}def long():\n{body}")
    assert "long has 61 lines" in found
