# SPDX-License-Identifier: Apache-2.0
"""What of a request is secret and must wait for a worker all the same, and is it sealed before it is kept?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from karbor.api.call import Call
from karbor.clients import sealedparameters
from karbor.clients.sealedlogins import LoginSeal
from karbor.conf.clients import GROUP
from karbor.model import errors
from karbor.model.restore import without_secrets


def seal_for(call: Call, what: str) -> LoginSeal:
    """The operator's seal. Raises InvalidInput, which says ``what`` would need it, where there is none."""
    path = call.services.conf[GROUP].login_key_file
    if not path:
        raise errors.InvalidInput(
            f"{what} would have to be kept until the restore ends, and there is no key for that: let the operator set "
            "login_key_file in [clients].",
            next_action="let the operator set login_key_file in [clients]",
        )
    return LoginSeal.load(Path(path))


def sealed(call: Call, given: Mapping[str, Mapping[str, Any]], purpose: str) -> Mapping[str, Mapping[str, Any]]:
    """The parameters of a restore, with what is secret among them sealed for that purpose. Raises InvalidInput where
    there is such a thing and no seal."""
    if without_secrets(given) == given:
        return given
    return sealedparameters.sealed(given, purpose, seal_for(call, "What is in stack_parameters"))
