# SPDX-License-Identifier: Apache-2.0
"""Who is there? The application with two tenants, a reader and an administrator, who log in with a password."""

import base64
import functools

import bcrypt

from tests.fuzz import population
from tests.support.api import OTHER_PROJECT, PROJECT, Api

PASSWORD = "correct horse"
#: Name to project and role. ``ann`` and ``rita`` share a project, ``bob`` is the stranger.
USERS = {
    "ann": (PROJECT, "member"),
    "rita": (PROJECT, "reader"),
    "root": (PROJECT, "admin"),
    "bob": (OTHER_PROJECT, "member"),
    "rob": (OTHER_PROJECT, "reader"),
}


@functools.cache
def _hash():
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def login(name):
    """The header that proves who one is."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()}


def make_world(directory, *projects, **settings):
    """An application with users; the given projects own some of everything."""
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "users"
    users.write_text("".join(f"{name}:{_hash()}:{project}:{role}\n" for name, (project, role) in USERS.items()))
    unbounded = {"project_work_per_minute": 0, "failed_logins_per_minute": 0}  # the clock stands still
    login_settings = {"auth_strategy": "http_basic", "http_basic_auth_user_file": str(users)}
    api = Api(directory, content=population.database(*projects), **login_settings, **unbounded, **settings)
    api.conf.set_override("per_project", 1_000_000, group="export")
    population.add_inventory(api.workers, *projects)
    return api
