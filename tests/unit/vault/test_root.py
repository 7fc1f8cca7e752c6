# SPDX-License-Identifier: Apache-2.0
"""Does the root of a stream come back as it was written, also from releases that knew less?"""

import pytest

from karbor.model import errors
from karbor.vault.root import Origin, StreamRoot

ROOTS = (
    StreamRoot(5, b"t" * 16, None, "2024-01-01T00:00:00"),
    StreamRoot(0, None, "base", "2024-01-01T00:00:00", Origin("bank", "domain", "stream")),
)


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_comes_back(root):
    assert StreamRoot.from_dict(root.to_dict(), name="x") == root


def test_a_stream_that_is_no_copy_says_nothing_of_copies():
    assert "copy_of" not in ROOTS[0].to_dict()


@pytest.mark.parametrize("field", ["version", "leaf", "fanout"])
def test_a_root_of_another_version_is_refused_and_named(field):
    with pytest.raises(errors.NotSupported) as refused:
        StreamRoot.from_dict(ROOTS[0].to_dict() | {field: 99}, name="stream/x")
    assert refused.value.detail == "stream/x"
