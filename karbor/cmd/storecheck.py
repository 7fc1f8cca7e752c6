# SPDX-License-Identifier: Apache-2.0
"""How does an operator find out whether a store is fit to be a bank? ``karbor-manage bank check URL``.

Secrets are not taken from the command line, where every user of the host can read them: S3 keys are looked for where
the SDK looks for them (environment, files, instance), those of Swift in the usual OS_* and ST_* variables.
"""

import argparse
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from karbor.app import roles, wiring
from karbor.common import loading
from karbor.model import errors
from karbor.protection.providers import PLUGINS
from karbor.sdk.bank import Bank
from karbor.vault.conformance import Conformance

_FORMS = "file:///DIRECTORY, s3://BUCKET?endpoint=URL, swift://CONTAINER?auth_url=URL, or the id of a provider"
#: Scheme to the plug-in and the option that names bucket or container.
_STORES = {
    "s3": ("karbor-s3-bank-plugin", "bank_s3_object_bucket"),
    "swift": ("karbor-swift-bank-plugin", "bank_swift_object_container"),
}
_FILES = "karbor-fs-bank-plugin"
#: Settings of Swift to the variables that may hold them, as its own clients do it.
_SWIFT = {
    "swift_auth_url": ("OS_AUTH_URL", "ST_AUTH"),
    "swift_user": ("OS_USERNAME", "ST_USER"),
    "swift_key": ("OS_PASSWORD", "ST_KEY"),
    "swift_tenant_name": ("OS_PROJECT_NAME",),
    "swift_project_domain_name": ("OS_PROJECT_DOMAIN_NAME",),
    "swift_user_domain_name": ("OS_USER_DOMAIN_NAME",),
    "swift_region": ("OS_REGION_NAME",),
}
_MIB = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked of a store, beside what is asked of the content of a bank."""
    parser.add_argument("store", nargs="?", metavar="URL", help=f"try the conditions of banks on this store: {_FORMS}")
    parser.add_argument("--large", type=int, default=64, metavar="MIB", help="URL: the largest object that is put")


def check(application: wiring.Application, given: argparse.Namespace) -> Any:
    """Try the conditions. ``entries`` tells of each, ``sound`` whether all are kept."""
    with _store(application, given.store) as (bank, other, made):
        run = Conformance(bank, other, clock=application.shared.clock, large=max(given.large, 1) * _MIB)
        found = list(run.run())
    broken = [finding for finding in found if not finding.kept]
    counts: dict[str, Any] = {"conditions tried": len(found), "broken": len(broken)}
    if made:
        counts["note"] = "there was no bank, so an empty one was made; it is left there"
    return {
        "store": given.store,
        "sound": not broken,
        "entries": [finding.to_dict() for finding in found] if given.json else [_line(finding) for finding in found],
        "counts": counts,
    }


def _line(finding: Any) -> dict[str, str]:
    mark = "kept  " if finding.kept else "BROKEN"
    said = f" ({finding.said})" if finding.said else ""
    return {f"{mark} {finding.number}": f"{finding.condition}{said}"}


@contextmanager
def _store(application: wiring.Application, text: str) -> Iterator[tuple[Bank, Bank, bool]]:
    """The store twice, as two processes see it, and whether a bank had to be made there."""
    parts = urlsplit(text)
    if not parts.scheme:
        environment = roles.make_environment(application.shared)
        providers = (roles.make_providers(application.shared, environment) for _view in range(2))
        bank, other = (one.get(_provider_id(text)).bank for one in providers)
        bank.identity()
        yield bank, other, False
    elif parts.scheme == "file":
        with _directory(Path(unquote(parts.path))) as settings:
            bank, other = (_bank(_FILES, settings) for _view in range(2))
            bank.initialise()
            yield bank, other, False
    elif parts.scheme in _STORES and parts.netloc:
        plugin, place = _STORES[parts.scheme]
        settings = {**_from_environment(parts.scheme), **_options(parts.scheme, plugin, parts.query)}
        bank, other = (_bank(plugin, {**settings, place: parts.netloc}) for _view in range(2))
        made = _is_new(bank)
        bank.initialise()
        yield bank, other, made
    else:
        raise errors.InvalidInput(f"A store is one of: {_FORMS}.")


def _provider_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise errors.InvalidInput(f"A store is one of: {_FORMS}.") from None


@contextmanager
def _directory(path: Path) -> Iterator[Mapping[str, Any]]:
    """A directory of its own below ``path``, which is removed with everything in it."""
    if not path.is_dir():
        raise errors.InvalidInput(f"{path} is no directory.")
    name = f"karbor-check-{secrets.token_hex(8)}"
    try:
        yield {"file_system_bank_path": str(path), "bank_object_container": name}
    finally:
        shutil.rmtree(path / name, ignore_errors=True)


def _is_new(bank: Bank) -> bool:
    try:
        bank.identity()
    except errors.BankUnavailable:
        return True
    return False


def _bank(plugin: str, settings: Mapping[str, Any]) -> Bank:
    kind = loading.plugin_class(PLUGINS, plugin)
    found: Bank = kind(kind.Settings.parse(dict(settings)))
    return found


def _from_environment(scheme: str) -> dict[str, str]:
    if scheme != "swift":
        return {}  # the SDK of S3 looks for itself
    found = {
        name: next((os.environ[v] for v in variables if os.environ.get(v)), "") for name, variables in _SWIFT.items()
    }
    return {name: value for name, value in found.items() if value}


def _options(scheme: str, plugin: str, query: str) -> dict[str, Any]:
    """Settings of the plug-in by their names, or by the ends of their names: ``endpoint`` is ``s3_endpoint``."""
    declared = loading.plugin_class(PLUGINS, plugin).Settings.declared
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        wanted = [known for known in (name, f"{scheme}_{name}", f"bank_{scheme}_{name}") if known in declared]
        if not wanted:
            raise errors.InvalidInput(f"A {scheme} store has no setting {name[:40]!r}.")
        if declared[wanted[0]].secret:
            raise errors.InvalidInput(f"{name} is a secret: others see the command line. Use the environment.")
        found[wanted[0]] = _typed(declared[wanted[0]].type, value)
    return found


def _typed(kind: Any, text: str) -> Any:
    """As the option wants it; a text that does not fit is refused where the settings are checked."""
    try:
        if kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        return kind(text) if kind in (int, float) else text
    except (KeyError, ValueError):
        return text
