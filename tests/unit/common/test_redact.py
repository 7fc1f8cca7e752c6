# SPDX-License-Identifier: Apache-2.0
"""Is a secret hidden wherever it may stand, and is the rest still to be read?"""

import pytest

from karbor.common.redact import Redactor, is_secret, secrets_in

TOKEN = "gAAAAABnA1b2c3d4e5f6g7h8i9j0kLmNoP_-x"


@pytest.mark.parametrize(
    "text",
    [
        "connection = mysql+pymysql://karbor:hunter22@db/karbor",
        "transport_url=rabbit://a:hunter22@one:5672,b:hunter22@two:5672/vhost",
        "rabbit://karbor:p@hunter22@host/",
        "password = hunter22",
        "http_basic_password: 'hunter22'",
        '{"admin_pass": "x", "adminPassword": "hunter22 with words"}',
        "-H 'X-Auth-Token: hunter22'",
        "Authorization: Basic hunter22",
        "authorization=Bearer hunter22",
        "s3_secret_key=hunter22, next=1",
        "?token=hunter22&x=1",
        "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter22 and the log was cut here",
    ],
)
def test_a_secret_is_hidden(text):
    hidden = Redactor().text(text)
    assert "hunter22" not in hidden
    assert "***" in hidden


@pytest.mark.parametrize("secret", [TOKEN, "$2b$12$" + "a" * 53, "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl"])
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(secret):
    assert secret not in Redactor().text(f"request of {secret} failed")


def test_known_secrets_are_hidden_by_value():
    assert Redactor(["correct horse"]).text("it said correct horse, loudly") == "it said ***, loudly"


def test_the_rest_stays_as_it_is():
    text = "2026-01-02 INFO job taken job=1 fence=3 bank=/var/lib/karbor http://host:8799/v1 key_file=/etc/master.key"
    assert Redactor().text(text) == text


def test_names_of_secrets_are_known():
    assert all(map(is_secret, ("password", "auth_token", "s3_secret_key", "Passphrase")))
    assert not any(map(is_secret, ("connection", "host", "master_key_file")))


def test_json_stays_json():
    given = {"adminPass": "x", "deep": [{"token": "y", "at": "http://u:hunter22@host"}], "tokens": 3}
    hidden = {"adminPass": "***", "deep": [{"token": "***", "at": "http://u:***@host"}], "tokens": 3}
    assert Redactor().value(given) == hidden


SETTINGS = """[DEFAULT]
# password = of the documentation
host = kvm1
transport_url = rabbit://karbor:p%40ss@broker/
[own]
admin_pass = hunter22
wrapped = first
    second
empty_token =
path = /etc/karbor
"""


def test_settings_lose_their_secrets_and_nothing_else():
    text = Redactor().settings(SETTINGS, {"wrapped"})
    for secret in ("hunter22", "first", "second", "p%40ss"):
        assert secret not in text
    for kept in ("host = kvm1", "path = /etc/karbor", "admin_pass = ***", "empty_token ="):
        assert kept in text


def test_secrets_of_settings_are_found_so_that_they_can_be_hidden_elsewhere():
    assert secrets_in(SETTINGS, {"wrapped"}) == {"hunter22", "first", "second", "p%40ss", "p@ss"}
