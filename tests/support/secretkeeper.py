# SPDX-License-Identifier: Apache-2.0
"""What key manager do tests give to castellan? One in memory, behind castellan's own interface."""

from castellan.common import exception
from castellan.common.objects.opaque_data import OpaqueData
from castellan.key_manager.key_manager import KeyManager

NAME = f"{__name__}.SecretKeeper"
SECRETS = {}


class SecretKeeper(KeyManager):
    """Gives away what is in ``SECRETS``; a secret that is an exception is raised."""

    def __init__(self, configuration):
        super().__init__(configuration)

    def get(self, context, managed_object_id, metadata_only=False):
        found = SECRETS.get(managed_object_id)
        if isinstance(found, Exception):
            raise found
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
