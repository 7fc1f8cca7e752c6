# SPDX-License-Identifier: Apache-2.0
"""Does karbor-protection answer everything that the other processes may ask?"""

from karbor.protection.service import ProtectionService
from karbor.rpc import interface


def test_every_declared_call_is_answered():
    unanswered = [
        name
        for name in interface.methods(interface.Protection)
        if getattr(ProtectionService, name) is getattr(interface.Protection, name)
    ]
    assert unanswered == []
