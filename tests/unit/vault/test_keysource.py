# SPDX-License-Identifier: Apache-2.0
"""Do the master keys come from where the settings say?"""

import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from karbor.vault.keysource import CASTELLAN, FILE, KeySource
from tests.support import secretkeeper
from tests.support.keysource_suite import KeySourceSuite, ServiceSuite


class Files:
    """Key files of one host."""

    def __init__(self, root):
        self._root = root

    def store(self, text):
        path = self._root / uuid.uuid4().hex
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def remove(self, name):
        Path(name).unlink()

    def source(self, name, *others):
        return KeySource(FILE, name, others)


class Keeper:
    """The key manager in memory."""

    def __init__(self, root):
        self._settings = secretkeeper.settings(root)

    def store(self, text):
        return self.raw(text.encode())

    def raw(self, secret):
        name = uuid.uuid4().hex
        secretkeeper.SECRETS[name] = secret
        return name

    def remove(self, name):
        del secretkeeper.SECRETS[name]

    def source(self, name, *others):
        return KeySource(CASTELLAN, name, others, self._settings)

    @contextmanager
    def _instead(self, answer):
        known = dict(secretkeeper.SECRETS)
        secretkeeper.SECRETS.update(dict.fromkeys(known, answer))
        yield
        secretkeeper.SECRETS.update(known)

    def away(self):
        return self._instead(secretkeeper.AWAY)

    def forbidden(self):
        return self._instead(secretkeeper.FORBIDDEN)

    @contextmanager
    def hanging(self):
        answer = secretkeeper.Hanging()
        with self._instead(answer):
            yield lambda source: replace(source, seconds=0.1)
        answer.over.set()


class TestFiles(KeySourceSuite):
    @pytest.fixture
    def place(self, tmp_path):
        return Files(tmp_path)


class TestKeyManager(ServiceSuite):
    @pytest.fixture
    def place(self, tmp_path):
        secretkeeper.SECRETS.clear()
        yield Keeper(tmp_path)
        secretkeeper.SECRETS.clear()
