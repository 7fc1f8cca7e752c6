# SPDX-License-Identifier: Apache-2.0
"""Is a name from a disk a name of a download, and never anything else?"""

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from karbor.api.download import disposition


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_a_client_gets_the_name_as_it_was(name):
    header = disposition(name)
    assert header.isascii() and header.isprintable() and header.count('"') == 2
    kind, plain, full = header.split("; ")
    assert (kind, unquote(full.removeprefix("filename*=UTF-8''"))) == ("attachment", name[:255])
    assert plain.startswith('filename="')


def test_old_clients_get_no_hidden_name_and_no_path():
    for name, plain in ((".profile", "profile"), ("a/b", "a_b"), ("...", "file"), ("tür", "t_r")):
        assert f'filename="{plain}"' in disposition(name)
