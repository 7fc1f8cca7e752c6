# SPDX-License-Identifier: Apache-2.0
"""Who uses the API in a test about people? Ann and Rita of one project, Bob of another one, and root."""

import base64

import bcrypt

from tests.support.api import OTHER_PROJECT, PROJECT, SERVER, Api

PASSWORD = "correct horse"
USERS = {
    "ann": (PROJECT, "member"),
    "rita": (PROJECT, "reader"),
    "root": (PROJECT, "admin"),
    "bob": (OTHER_PROJECT, "member"),
}


class Tenants(Api):
    """The API with people; ``who`` asks as one of them, in that one's own project."""

    who = "ann"

    def __init__(self, path, **values):
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        users = path / "users"
        users.write_text("".join(f"{name}:{hashed}:{project}:{role}\n" for name, (project, role) in USERS.items()))
        super().__init__(path, auth_strategy="http_basic", http_basic_auth_user_file=str(users), **values)
        self.workers.add(OTHER_PROJECT, "OS::Nova::Server", SERVER)

    def send(self, method, path, body=None, *, who=None, headers=None, **more):
        who = who or self.who
        login = {"Authorization": "Basic " + base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()}
        return super().send(
            method, path, body, headers={**(headers or {}), **login}, **{"project": USERS[who][0], **more}
        )
