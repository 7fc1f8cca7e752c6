# SPDX-License-Identifier: Apache-2.0
"""What key manager do tests give to castellan? One in memory, behind castellan's own interface.

It fails as the driver for Barbican does: with castellan's error, raised while that of the library below is handled.
"""

import threading

from barbicanclient import exceptions as barbican
from castellan.common import exception
from castellan.common.objects.opaque_data import OpaqueData
from castellan.key_manager.key_manager import KeyManager
from keystoneauth1.exceptions import ConnectFailure

NAME = f"{__name__}.SecretKeeper"
SECRETS = {}


class Hanging:
    """A secret that is not given before the end of the test: then ``over`` is set."""

    def __init__(self):
        self.over = threading.Event()


AWAY = ConnectFailure("Unable to establish connection: refused")
BROKEN = barbican.HTTPServerError("Internal Server Error", 500)
FORBIDDEN = barbican.HTTPClientError("Forbidden: Secret retrieval attempt not allowed", 403)


class SecretKeeper(KeyManager):
    """Gives away what is in ``SECRETS``; a secret that is an exception is raised."""

    def __init__(self, configuration):
        super().__init__(configuration)

    def get(self, context, managed_object_id, metadata_only=False):
        found = SECRETS.get(managed_object_id)
        if isinstance(found, Hanging):
            found.over.wait()
            found = AWAY
        try:
            if isinstance(found, Exception):
                raise found
        except (barbican.HTTPError, ConnectFailure) as fault:
            raise exception.KeyManagerError(reason=fault)  # noqa: B904 - as castellan does it
        if found is None:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id)
        return OpaqueData(found)

    def _refuse(self, *_, **__):
        raise NotImplementedError("nothing but reading is wanted here")

    create_key = create_key_pair = store = copy = delete = list = _refuse
    add_consumer = remove_consumer = _refuse


def settings(directory):
    """A settings file of castellan that leads here."""
    path = directory / "castellan.conf"
    path.write_text(f"[key_manager]\nbackend = {NAME}\n")
    return path
