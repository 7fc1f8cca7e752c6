# SPDX-License-Identifier: Apache-2.0
"""Are errors of libvirt told as ours? (libvirt's own test driver answers.)"""

import pytest

from karbor.model import errors
from karbor.virt.libvirt_connection import Connection, translated

TEST_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def test_a_domain_is_found_by_its_uuid_and_the_connection_is_shared():
    connection = Connection("test:///default")
    assert connection.domain(TEST_DOMAIN).name() == "test"
    assert connection.get() is connection.get()
    assert connection.qemu_user() is None


@pytest.mark.parametrize("wrong", ["00000000-0000-4000-8000-000000000000", "no uuid", ""])
def test_a_domain_that_is_not_there_is_not_found(wrong):
    with pytest.raises(errors.ResourceNotFound):
        Connection("test:///default").domain(wrong)


def test_a_libvirt_that_does_not_answer_is_unavailable_at_once():
    with pytest.raises(errors.HypervisorUnavailable) as caught:
        Connection("qemu+unix:///system?socket=/nonexistent").get()
    assert not caught.value.permanent


def test_other_faults_fail_the_step_and_say_what_was_tried():
    domain = Connection("test:///default").domain(TEST_DOMAIN)
    with pytest.raises(errors.StepFailed) as caught, translated("do a thing"):
        domain.create()
    assert "do a thing" in caught.value.detail
    with pytest.raises(ValueError), translated("nothing of libvirt"):
        raise ValueError
