# SPDX-License-Identifier: Apache-2.0
"""Is a thing still the one that the client saw? (ETag, If-Match, If-None-Match)"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from webob.etag import ETagMatcher

from karbor.api.call import Call
from karbor.model import errors


def tag_of(shown: Mapping[str, Any], *, without: Iterable[str] = ()) -> str:
    """The entity tag of a thing as it is shown, without the fields that change by themselves. Strong: equal tags mean
    equal fields."""
    left_out = set(without)
    kept = {name: value for name, value in shown.items() if name not in left_out}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:32]


def require(call: Call, tag: str) -> None:
    """Raise PreconditionFailed where the request has an If-Match that does not name ``tag``."""
    if "If-Match" in call.headers and tag not in ETagMatcher.parse(call.headers["If-Match"], strong=True):
        raise errors.PreconditionFailed()


def unchanged(call: Call, tag: str) -> bool:
    """Whether the request has an If-None-Match that names ``tag``: then the client knows the answer already."""
    given = call.headers.get("If-None-Match")
    return given is not None and tag in ETagMatcher.parse(given, strong=False)
