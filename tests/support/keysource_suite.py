# SPDX-License-Identifier: Apache-2.0
"""What must hold for every place that a master key comes from: a file, a key manager in memory, a real Barbican?

A subclass gives the fixture ``place``, an object with:

    store(text) -> name      keep a text there; the name is what the settings say
    remove(name)             as somebody does by hand
    source(name, *others)    a KeySource that asks anew each time

and, where it is a service (``ServiceSuite``), with:

    raw(secret) -> name      keep bytes as they are
    away()                   a context: nobody answers
    forbidden()              a context: our login has no right to read
    hanging()                a context: no answer comes
"""

import base64
import threading

import pytest

from karbor.model import errors
from karbor.vault.keys import KEY_SIZE, MasterKey

SECRET, OTHER = bytes(range(KEY_SIZE)), bytes(range(KEY_SIZE, 2 * KEY_SIZE))


class KeySourceSuite:
    """Of every place."""

    @pytest.mark.parametrize("form", [SECRET.hex(), SECRET.hex() + "\n", base64.b64encode(SECRET).decode()])
    def test_a_key_in_any_form_is_found(self, place, form):
        assert place.source(place.store(form)).load().id == MasterKey(SECRET).id

    def test_what_one_process_wrapped_another_one_opens(self, place):
        source = place.source(place.store(SECRET.hex()))
        wrapped = source.load().wrap("here", {"key": "k"})
        assert source.load().unwrap("here", wrapped) == {"key": "k"}
        with pytest.raises(errors.IntegrityError):
            source.load().unwrap("there", wrapped)

    def test_the_first_key_wraps_and_the_others_open(self, place):
        new, old = place.store(SECRET.hex()), place.store(OTHER.hex())
        both = place.source(new, old).load()
        assert list(both.ids) == [MasterKey(SECRET).id, MasterKey(OTHER).id]
        before = place.source(old).load().wrap("here", {"key": "before"})
        after = both.wrap("here", {"key": "after"})
        assert both.unwrap("here", before) == {"key": "before"}
        assert place.source(old).load().unwrap("here", after) is None
        assert place.source(new).load().unwrap("here", after) == {"key": "after"}

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_key_that_somebody_removed_is_named(self, place, which):
        names = [place.store(SECRET.hex()), place.store(OTHER.hex())]
        source = place.source(*names)
        assert len(source.load().ids) == 2
        place.remove(names[which])
        with pytest.raises(errors.KeyUnavailable) as told:
            source.load()
        fault = told.value
        assert fault.permanent and names[which] in fault.detail and fault.next_action
        assert names[which] not in fault.message, "what tenants read names nothing inside"

    @pytest.mark.parametrize("text", ["short", "x" * 2 * KEY_SIZE, SECRET.hex() + "00", "\N{SNOWMAN}" * KEY_SIZE])
    def test_what_is_no_key_is_refused_without_telling_it(self, place, text):
        name = place.store(text)
        with pytest.raises(errors.ConfigurationError) as told:
            place.source(name).load()
        assert text not in told.value.operator_text() and name in told.value.detail

    def test_many_ask_at_the_same_time(self, place):
        source, found = place.source(place.store(SECRET.hex())), []
        threads = [threading.Thread(target=lambda: found.append(source.load().id)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [MasterKey(SECRET).id] * 4


class ServiceSuite(KeySourceSuite):
    """Of key managers, too."""

    def test_a_key_as_bytes_is_found(self, place):
        assert place.source(place.raw(SECRET)).load().id == MasterKey(SECRET).id

    def test_while_it_is_away_that_may_pass_and_afterwards_it_is_asked_again(self, place):
        source = place.source(place.store(SECRET.hex()))
        with place.away(), pytest.raises(errors.KeyManagerUnavailable) as told:
            source.load()
        assert not told.value.permanent and source.key in told.value.detail
        assert source.load().id == MasterKey(SECRET).id

    def test_without_the_right_to_read_trying_again_is_no_use(self, place):
        source = place.source(place.store(SECRET.hex()))
        with place.forbidden(), pytest.raises(errors.KeyUnavailable) as told:
            source.load()
        assert told.value.permanent and source.key in told.value.detail and "right" in told.value.next_action
        assert source.load().id == MasterKey(SECRET).id

    def test_an_answer_that_does_not_come_is_not_waited_for(self, place):
        source = place.source(place.store(SECRET.hex()))
        with place.hanging() as hurried, pytest.raises(errors.KeyManagerUnavailable) as told:
            hurried(source).load()
        assert "no answer" in told.value.detail
        assert source.load().id == MasterKey(SECRET).id
