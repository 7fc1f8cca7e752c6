# SPDX-License-Identifier: Apache-2.0
"""Does http_basic let in exactly those who know their password?"""

import base64
import os

import bcrypt
import pytest
import webob

from karbor.api import basic
from karbor.model import errors
from tests.support.clock import TwinClock

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()


def line(name="ann", hashed=HASH, project="p1", roles="member"):
    return f"{name}:{hashed}:{project}:{roles}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users"
    path.write_text("# users\n\n" + line())
    return path


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def login(file, clock):
    strategy = basic.HttpBasic(file, clock=clock)

    def identify(name="ann", password="right", headers=None):
        if headers is None:
            text = base64.b64encode(f"{name}:{password}".encode()).decode()
            headers = {"Authorization": f"Basic {text}"}
        return strategy.identify(webob.Request.blank("/v1/p1/plans", headers=headers), project_id="p1")

    return identify


def test_the_right_password_gives_project_and_roles(login):
    context = login()
    assert (context.user_id, context.project_id, context.is_admin) == ("ann", "p1", False)
    assert context.roles == ["member", "reader"]


def test_a_user_of_every_project_is_in_the_one_that_the_url_names(login, file):
    file.write_text(line(project="*"))
    context = login()
    assert (context.project_id, context.is_admin) == ("p1", False)


def test_the_old_client_may_send_it_in_its_own_headers(login):
    assert login(headers={"X-Auth-User": "ann", "X-Auth-Key": "right"}).user_id == "ann"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic !!"},
        {"Authorization": "Basic YW5u"},
        {"Authorization": "Bearer x"},
        {"X-Auth-User": "ann"},
    ],
)
def test_who_proves_nothing_is_refused(login, headers):
    with pytest.raises(errors.Unauthorized):
        login(headers=headers)


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("ann", ""), ("bob", "right"), ("ann", "r" * 100)])
def test_a_wrong_password_and_an_unknown_user_are_told_the_same(login, name, password):
    with pytest.raises(errors.Unauthorized, match="The user name or the password is wrong"):
        login(name, password)


def test_a_remembered_login_does_not_let_in_a_wrong_password(login):
    login()
    with pytest.raises(errors.Unauthorized):
        login(password="wrong")
    login()


def test_a_changed_file_counts_at_once_also_for_remembered_logins(login, file):
    login()
    file.write_text(line(hashed=OTHER, roles="admin"))
    os.utime(file, ns=(1, 1))
    with pytest.raises(errors.Unauthorized):
        login()
    assert login(password="other").is_admin


def test_a_broken_change_leaves_the_users_of_before(login, file):
    file.write_text("nonsense\n")
    os.utime(file, ns=(1, 1))
    login()


def test_an_unknown_user_costs_a_real_comparison():
    users = basic.parse(line() + line("bob", bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()))
    made = basic.stand_in(users.values())
    assert made.startswith(b"$2b$05$")
    assert bcrypt.checkpw(b"x", made) is False  # a hash that cannot be read would raise, and cost nothing


def test_hashes_of_htpasswd_are_understood(login, file):
    file.write_text(line(hashed=HASH.replace("$2b$", "$2y$")))
    os.utime(file, ns=(1, 1))
    login()


def test_a_login_is_remembered_for_a_while(login, clock):
    login()
    clock.pass_time(basic.CACHE_SECONDS + 1)
    login()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ann:x\n", "Line 1 .* is not name:hash:project:roles"),
        (line(hashed="plain"), "no bcrypt hash"),
        (line(roles="root"), "roles are admin, member, reader"),
        (line(project=""), "is not name:hash"),
    ],
)
def test_a_wrong_line_is_named(text, reason):
    with pytest.raises(errors.ConfigurationError, match=reason):
        basic.parse(text)


def test_without_the_file_nothing_starts(tmp_path, clock):
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        basic.HttpBasic(tmp_path / "none", clock=clock)
