# SPDX-License-Identifier: Apache-2.0
"""What lies in the state directory of the embedded service, and what is made there on the first start only?

``layout.json`` is written last. Where it exists, this is a later start: then a missing bank or key is a fault to be
shown, never something to be made anew.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from karbor.common import durable, loading
from karbor.model import errors
from karbor.vault.keys import MasterKey

NOOP_ID = "b766f37c-d011-4026-8228-28730d734a3f"
LIBVIRT_ID = "3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"
BANK = "karbor-fs-bank-plugin"

_SETTINGS = """# Written by the first start of karbor-all-in-one; yours to change from then on.
[DEFAULT]
state_path = {root}
provider_config_dir = {root}/providers.d
log_file = {root}/karbor.log
use_stderr = False
transport_url = kombu+memory:///
auth_strategy = noauth
osapi_karbor_listen = 127.0.0.1
osapi_karbor_listen_port = 8799
enabled_hypervisors = libvirt
# Guests that name no owner belong to this project.
default_project = {project}

[database]
connection = sqlite:///{root}/karbor.sqlite

[vault]
master_key_file = {root}/master.key
cache_dir = {root}/cache

[libvirt]
uri = {uri}
"""

_PROVIDER = """[provider]
name = {name}
description = {description}
id = {id}
{plugins}
bank = karbor-fs-bank-plugin
enabled = True

[file_system_bank_plugin]
file_system_bank_path = {bank}
"""

_LIBVIRT_PLUGINS = ("karbor-libvirt-domain-protection-plugin", "karbor-libvirt-disk-protection-plugin")


def prepare(root: Path, *, port: int | None, libvirt_uri: str | None) -> Sequence[str]:
    """Make what is missing on the first start and return the settings files, in the order they are read.

    The directory is locked until this process ends. Raises Conflict where another process holds it,
    ConfigurationError where it was made by a release that this one does not know.
    """
    os.umask(0o077)
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o711)  # QEMU, which runs as another user, passes through to its scratch files; it sees nothing else
    _lock(root)
    layout = root / "layout.json"
    if not layout.exists():
        _first_start(root, libvirt_uri or "qemu:///system")
        durable.write_file(layout, json.dumps({"version": 1}).encode())
    elif json.loads(layout.read_text()).get("version") != 1:
        raise errors.ConfigurationError(f"{root} was made by another release of Karbor.")
    overrides = ["# Written at every start from the command line.", "[DEFAULT]"]
    if port is not None:
        overrides.append(f"osapi_karbor_listen_port = {port}")
    if libvirt_uri:
        overrides += ["[libvirt]", f"uri = {libvirt_uri}"]
    durable.write_file(root / "command-line.conf", "\n".join(overrides).encode() + b"\n")
    return [str(root / "karbor.conf"), str(root / "command-line.conf")]


def _lock(root: Path) -> None:
    handle = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the process ends
    except BlockingIOError:
        os.close(handle)
        raise errors.Conflict(
            f"Another karbor-all-in-one uses {root}.", next_action="stop it first, or choose another --state-dir"
        ) from None


def _first_start(root: Path, uri: str) -> None:
    """Each part is left alone where an interrupted first start made it already."""
    project = _project(root)
    durable.create_file(root / "karbor.conf", _SETTINGS.format(root=root, project=project, uri=uri).encode())
    (root / "providers.d").mkdir(mode=0o700, exist_ok=True)
    bank = root / "bank"
    entries = (
        ("libvirt", LIBVIRT_ID, "Running and stopped libvirt guests, in full and incrementally", _LIBVIRT_PLUGINS),
        ("noop", NOOP_ID, "Accepts every resource and saves nothing, for trials", ("karbor-noop-protection-plugin",)),
    )
    for name, id_, description, plugins in entries:
        lines = "\n".join(f"plugin = {plugin}" for plugin in plugins)
        text = _PROVIDER.format(name=name, id=id_, description=description, plugins=lines, bank=bank / name)
        durable.create_file(root / "providers.d" / f"{name}.conf", text.encode())
        _make_bank(bank / name)
    key = root / "master.key"
    if not key.exists():
        MasterKey.create(key)


def _make_bank(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    bank_class: Any = loading.plugin_class("karbor.protections", BANK)
    bank_class(bank_class.Settings(file_system_bank_path=str(path))).initialise()


def _project(root: Path) -> str:
    """The embedded project, chosen once."""
    path = root / "project"
    durable.create_file(path, uuid.uuid4().hex.encode())
    return path.read_text()
