# SPDX-License-Identifier: Apache-2.0
"""What do the settings say of keys: where the master key comes from, and which projects share one?"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from oslo_config import cfg

from karbor.model import errors
from karbor.vault.keysource import CASTELLAN, KeySource
from karbor.vault.sealring import Sealers
from karbor.vault.wrapping import Wrapping

SHARED = "shared:"  # labels of domains that begin so belong to no project
_ENTRY = re.compile(r"\s*([A-Za-z0-9._-]{1,64})\s*:\s*(\S.*)")


def key_source(conf: cfg.ConfigOpts) -> KeySource:
    """Where to ask for the master key. Asks nothing yet. Raises ConfigurationError where an id is missing."""
    own = conf.vault
    if own.master_key_source != CASTELLAN:
        return KeySource(own.master_key_source, own.master_key_file, tuple(own.other_master_key_files))
    if not own.master_key_id:
        raise errors.ConfigurationError("The master key is to come from a key manager, and master_key_id is not set.")
    others, settings = tuple(own.other_master_key_ids), Path(own.castellan_config)
    return KeySource(CASTELLAN, own.master_key_id, others, settings, seconds=own.key_manager_timeout)


def key_loader(conf: cfg.ConfigOpts) -> Callable[[], Wrapping | Sealers]:
    """What a vault is opened with: the master keys, or in a worker that only seals its sealer files."""
    if not conf.vault.sealer_dir:
        return key_source(conf).load
    sealers = Sealers(Path(conf.vault.sealer_dir))

    def load() -> Sealers:
        sealers.load()  # what is wrong with them shows at once
        return sealers

    return load


def shared_domains(conf: cfg.ConfigOpts) -> Mapping[str, str]:
    """Label of the domain by project, for projects that share one. Raises ConfigurationError."""
    found: dict[str, str] = {}
    for entry in conf.vault.shared_domain:
        match = _ENTRY.fullmatch(entry)
        projects = [one.strip() for one in match.group(2).split(",")] if match else []
        if match is None or not all(projects):
            raise errors.ConfigurationError("A line shared_domain cannot be read.", detail=entry)
        for project in projects:
            if found.setdefault(project, SHARED + match.group(1)) != SHARED + match.group(1):
                raise errors.ConfigurationError("A project can share one domain only.", detail=project)
    return found
