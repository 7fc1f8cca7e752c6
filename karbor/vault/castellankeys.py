# SPDX-License-Identifier: Apache-2.0
"""How is a master key fetched from a key manager (Barbican, HashiCorp Vault) through castellan?

Only workers that are set to it import this module. The settings of castellan have a file of their own, because its
sections have names that we use too.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from keystoneauth1 import exceptions as identity
from oslo_config import cfg
from oslo_context.context import RequestContext
from requests import RequestException

from karbor.model import errors
from karbor.vault.keys import KEY_SIZE, MasterKey, secret_from_text

try:
    from castellan import key_manager
    from castellan.common import exception as castellan
    from castellan.common import utils
except ImportError as fault:
    raise errors.ConfigurationError(
        "The master key is to come from a key manager, and castellan is not installed.",
        detail=str(fault),
        next_action="pip install 'castellan>=5.8'",
    ) from fault

Found = TypeVar("Found")
_THREAD = "master-key"
#: Answers that are waited for at the same time, with those that nobody waits for any more but which may still come.
_waiting = threading.BoundedSemaphore(16)
#: castellan raises its own error around whatever it met; these lie below where the next try will not fare better.
_REFUSALS = (
    castellan.Forbidden,
    castellan.AuthTypeInvalidError,
    castellan.InsufficientCredentialDataError,
    identity.CatalogException,
    identity.AuthPluginException,
    ValueError,
)
_PASSING_STATUS = (408, 425, 429)
_REFUSED = (
    "let the operator look at the login in the settings of castellan and at its right to read the secret of the master "
    "key; the log of karbor-protection names both"
)
_GONE = (
    "let the operator store the copy of this master key there again and write the new id into the settings "
    "(master_key_id, other_master_key_ids), or take the id out where no key hangs on it any more (karbor-manage key "
    "list)"
)


class _NoAnswers(logging.Filter):
    """Drops what a library tells, line by line, of the answer that holds the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or threading.current_thread().name != _THREAD


_NO_ANSWERS = _NoAnswers()


class CastellanKeys:
    """A key manager. Nothing it returns is kept or logged here; the settings file is read once. Thread-safe."""

    def __init__(self, settings: Path | None, *, seconds: float = 20) -> None:
        """``seconds``: how long an answer may take. Raises ConfigurationError where the file is missing or wrong."""
        if settings is None or not settings.is_file():
            raise errors.ConfigurationError("The settings file of castellan does not exist.", detail=str(settings))
        for name in ("", ".request", ".response", ".body", ".header"):
            logging.getLogger(f"keystoneauth.session{name}").addFilter(_NO_ANSWERS)
        conf = cfg.ConfigOpts()
        self._seconds = seconds
        try:
            conf(args=[], project="castellan", default_config_files=[str(settings)], default_config_dirs=[])
            conf.register_opts(utils.credential_opts, group=utils.OPT_GROUP)
            self._manager: Any = key_manager.API(conf)
            # Barbican wants a login. Vault has its own among its settings, and only wants to be given anything at all.
            self._login: Any = utils.credential_factory(conf) if conf.key_manager.auth_type else RequestContext()
        except (cfg.Error, castellan.CastellanException, ImportError) as fault:
            raise errors.ConfigurationError("The settings of castellan cannot be used.", detail=str(fault)) from fault

    def load(self, secret_id: str) -> MasterKey:
        """The master key under that id: 32 bytes, or the same as hexadecimal digits or base64 text. ``secret_id`` may
        be the address of the secret, too.

        Raises KeyManagerUnavailable where the key manager does not answer now, KeyUnavailable where it has no such
        secret or does not give it to us, ConfigurationError where the secret is no key.
        """
        try:
            secret = _within(self._seconds, lambda: self._manager.get(self._login, secret_id).get_encoded())
        except castellan.ManagedObjectNotFoundError as fault:
            raise errors.KeyUnavailable(
                "The key manager has no such master key.", detail=secret_id, next_action=_GONE
            ) from fault
        except TimeoutError as fault:
            raise errors.KeyManagerUnavailable(detail=f"{secret_id}: no answer in {self._seconds:g} s") from fault
        except (castellan.CastellanException, identity.ClientException, RequestException, OSError, ValueError) as fault:
            raise _explained(secret_id, fault) from fault
        data = secret if isinstance(secret, bytes) else str(secret).encode()
        if len(data) != KEY_SIZE:
            data = secret_from_text(data.decode("ascii", "replace").strip()) or b""
        if len(data) != KEY_SIZE:
            raise errors.ConfigurationError("The key manager holds no master key under this id.", detail=secret_id)
        return MasterKey(data)


def _within(seconds: float, work: Callable[[], Found]) -> Found:
    """What ``work`` returns. castellan sends requests without a time limit, so they are waited for from outside.

    Raises TimeoutError, also where too many earlier requests still have no answer.
    """
    if not _waiting.acquire(timeout=seconds):
        raise TimeoutError
    answer: Future[Found] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as fault:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(fault)
        finally:
            _waiting.release()

    threading.Thread(target=run, name=_THREAD, daemon=True).start()
    return answer.result(seconds)


def _explained(secret_id: str, fault: BaseException) -> errors.KeyUnavailable:
    """Whether it may pass: whatever is not known to be a refusal may."""
    detail = f"{secret_id}: {type(fault).__name__}: {fault}"
    for met in _origins(fault):
        status = _status(met)
        refused = status is not None and 400 <= status < 500 and status not in _PASSING_STATUS
        if refused or isinstance(met, _REFUSALS):
            return errors.KeyUnavailable(
                "The key manager does not give us the master key.", detail=detail, next_action=_REFUSED
            )
    return errors.KeyManagerUnavailable(detail=detail)


def _status(fault: BaseException) -> int | None:
    """The HTTP status that an error stands for, as keystoneauth and Barbican's client keep it."""
    for name in ("http_status", "status_code"):
        found = getattr(fault, name, None)
        if isinstance(found, int) and found:
            return found
    return None


def _origins(fault: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__
