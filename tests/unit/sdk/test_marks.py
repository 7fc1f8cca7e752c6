# SPDX-License-Identifier: Apache-2.0
"""Is a mark short enough for every service, different for each thing, and known for what it is?"""

from karbor.sdk.marks import is_mark, mark_of, metadata_without_marks, tags_without_marks

RESTORE = "5f6e2c3a-8b1d-4c9e-9a70-1b2c3d4e5f60"


def test_a_mark_names_one_thing_of_one_restore():
    marks = {mark_of(RESTORE, "port_a"), mark_of(RESTORE, "port_b"), mark_of(RESTORE[::-1], "port_a")}
    assert len(marks) == 3
    assert all(is_mark(one) and len(one) <= 60 for one in marks)
    assert mark_of(RESTORE, "x" * 500) == mark_of(RESTORE, "x" * 500)


def test_what_a_tenant_gave_is_no_mark():
    mark = mark_of(RESTORE, "x")
    assert tags_without_marks(["shop", mark]) == ["shop"]
    assert tags_without_marks(None) == []
    assert metadata_without_marks({"app": "shop", "karbor_mark": mark}) == {"app": "shop"}
    assert not is_mark("karbo") and not is_mark("")
