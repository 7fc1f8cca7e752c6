# SPDX-License-Identifier: Apache-2.0
"""What does Keystone answer to logins and trusts? A twin in memory, over HTTP, with the users of the real one.

The twin and the real one (tests/support/keystone.py) pass the same suite: tests/support/identity_suite.py.
"""

import json
import re
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.support import keystone as real
from tests.support.httptwin import LOCAL, Reply, httptwin

IMPLIED = {"admin": ("admin", "member", "reader"), "member": ("member", "reader")}
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass
class Token:
    user: str
    project: str
    roles: tuple
    trust: dict | None = None
    credential: bool = False
    id: str = field(default_factory=lambda: f"gAAAA{uuid.uuid4().hex}")
    issued: datetime = field(default_factory=lambda: datetime.now(UTC))


class KeystoneTwin:
    """Ids are names. ``url``, ``ids``, ``token`` and ``settings`` are those of the real one."""

    def __init__(self):
        self.url = ""
        self.users = {name: {"name": name, "enabled": True} for name in (*real.USERS, "admin")}
        self.grants = {(name, where): {role} for name, (role, where) in real.USERS.items()} | {
            ("admin", "admin"): {"admin"}
        }
        self.ids = {name: name for name in (*self.users, "alpha", "beta", "service")}
        self.tokens, self.trusts = {}, {}

    def token(self, user, *, project=None, **more):
        """A token as the real one gives it; ``credential`` says that it came by an application credential."""
        where = project or real.USERS.get(user, ("", "admin"))[1]
        return self._give(Token(user, where, self._roles(user, where), **more)).id

    settings = real.Keystone.settings

    def _roles(self, user, project):
        return tuple(
            sorted({one for role in self.grants.get((user, project), ()) for one in IMPLIED.get(role, (role,))})
        )

    def _give(self, token):
        self.tokens[token.id] = token
        return token

    def answer(self, request):
        path = request.path.partition("?")[0].removeprefix("/v3")
        for method, pattern, serve in self._routes():
            found = re.fullmatch(pattern, path)
            if method == request.method and found:
                body = json.loads(request.body) if request.body else {}
                return serve(request, body, *found.groups())
        return _refuse(404)

    def _routes(self):
        trusts = "/OS-TRUST/trusts"
        return (
            ("GET", "/?", self._version),
            ("POST", "/auth/tokens", self._login),
            ("GET", "/auth/tokens", self._validate),
            ("GET", "/auth/projects", self._projects),
            ("POST", trusts, self._trust),
            ("GET", trusts, self._list),
            ("GET", f"{trusts}/(.+)", self._show),
            ("DELETE", f"{trusts}/(.+)", self._delete),
            ("GET", "/users/(.+)", lambda *_given: _refuse(403)),
        )

    def _version(self, request, body):
        links = [{"rel": "self", "href": f"{self.url}/"}]
        return _json(200, {"version": {"id": "v3.14", "status": "stable", "links": links}})

    def _login(self, request, body):
        identity, scope = body["auth"]["identity"], body["auth"].get("scope", {})
        who = self._proven(identity)
        if who is None:
            return _refuse(401)
        if "OS-TRUST:trust" not in scope:
            by_credential = "application_credential" in identity
            where = "alpha" if by_credential else "".join(scope.get("project", {}).get(by, "") for by in ("id", "name"))
            roles = self._roles(who, where)
            if where and not roles:
                return _refuse(401)
            return self._shown(self._give(Token(who, where, roles, credential=by_credential)), 201)
        trust = self.trusts.get(scope["OS-TRUST:trust"]["id"])
        if trust is None or trust["trustee_user_id"] != who:
            return _refuse(401)
        user, project = trust["trustor_user_id"], trust["project_id"]
        names = {role["name"] for role in trust["roles"]}
        held = self._roles(user, project)
        if not self.users[user]["enabled"] or not names <= set(held):
            return _refuse(403)
        roles = tuple(sorted({one for name in names for one in IMPLIED.get(name, (name,))}))
        return self._shown(self._give(Token(user, project, roles, trust)), 201)

    def _proven(self, identity):
        """Who logs in so: by a password, a token, or the one credential, which is of ann; None where it is wrong."""
        given = identity.get("password", {}).get("user", {})
        name = given.get("name") or given.get("id")
        if name in self.users and given.get("password") == self.users[name].get("password", real.PASSWORD):
            return name
        if identity.get("application_credential", {}).get("secret") == self.users["ann"].get("secret", real.PASSWORD):
            return "ann"
        token = self.tokens.get(identity.get("token", {}).get("id", ""))
        return token.user if token and not token.trust else None

    def _projects(self, request, body):
        user = self._asker(request).user
        return _json(200, {"projects": [{"id": where, "name": where} for name, where in self.grants if name == user]})

    def _asker(self, request):
        return self.tokens.get(request.headers.get("X-Auth-Token", ""))

    def _validate(self, request, body):
        if self._asker(request) is None:
            return _refuse(401)
        found = self.tokens.get(request.headers.get("X-Subject-Token", ""))
        return self._shown(found, 200) if found else _refuse(404)

    def _shown(self, token, status):
        domain = {"id": "default", "name": "Default"}
        endpoint = {"id": "e", "interface": "public", "region_id": "RegionOne", "region": "RegionOne", "url": self.url}
        shown = {
            "methods": ["application_credential" if token.credential else "password"],
            "user": {"id": token.user, "name": token.user, "domain": domain},
            **({"project": {"id": token.project, "name": token.project, "domain": domain}} if token.project else {}),
            "roles": [{"id": role, "name": role} for role in token.roles],
            "issued_at": token.issued.strftime(_MOMENT),
            "expires_at": (token.issued + timedelta(hours=1)).strftime(_MOMENT),
            "audit_ids": [token.id[-8:]],
            "catalog": [{"id": "i", "type": "identity", "name": "keystone", "endpoints": [endpoint]}],
        }
        if token.trust:
            sides = {f"{side}_user": {"id": token.trust[f"{side}_user_id"]} for side in ("trustor", "trustee")}
            shown["OS-TRUST:trust"] = {"id": token.trust["id"], "impersonation": True, **sides}
        if token.credential:
            shown["application_credential"] = {"id": "credential", "name": "c", "restricted": True}
        return _json(status, {"token": shown}, {"X-Subject-Token": token.id})

    def _trust(self, request, body):
        token, wish = self._asker(request), body["trust"]
        if token is None:
            return _refuse(401)
        wanted = {role["name"] for role in wish["roles"]}
        parent = token.trust or {}
        handed = {role["name"] for role in parent.get("roles", ())} if parent else set(token.roles)
        final = token.credential or (parent and not parent["redelegation_count"])
        if final or wish["trustor_user_id"] != token.user or not wanted <= handed:
            return _refuse(403)
        depth = wish.get("redelegation_count", 1) if wish.get("allow_redelegation") else 0
        above = parent.get("id")
        made = {**wish, "id": uuid.uuid4().hex, "expires_at": None, "redelegation_count": depth, "above": above}
        self.trusts[made["id"]] = made
        return _json(201, {"trust": made})

    def _list(self, request, body):
        token = self._asker(request)
        if token is None:
            return _refuse(401)
        mine = [one for one in self.trusts.values() if token.user in (one["trustee_user_id"], one["trustor_user_id"])]
        return _json(200, {"trusts": mine})

    def _show(self, request, body, id):
        if self._asker(request) is None:
            return _refuse(401)
        return _json(200, {"trust": self.trusts[id]}) if id in self.trusts else _refuse(404)

    def _delete(self, request, body, id):
        token = self._asker(request)
        if token is None:
            return _refuse(401)
        if id not in self.trusts:
            return _refuse(404)
        if token.user != self.trusts[id]["trustor_user_id"]:
            return _refuse(403)
        for one in [id, *(other for other, trust in self.trusts.items() if trust["above"] == id)]:
            del self.trusts[one]
        return Reply(204)


class TwinTenant:
    """The member ``ann`` of the project ``alpha``, with what an administrator does to her."""

    name = id = "ann"
    project = "alpha"

    def __init__(self, twin):
        self._twin = twin

    def take_role(self):
        self._twin.grants[self.id, self.project].discard("member")

    def give_role(self):
        self._twin.grants[self.id, self.project].add("member")

    def set(self, *, enabled=True, password=None):
        self._twin.users[self.id]["enabled"] = enabled
        if password:
            self._twin.tokens = {id: one for id, one in self._twin.tokens.items() if one.user != self.id}

    def token(self):
        return self._twin.token(self.id)

    def credential(self):
        return self._twin.token(self.id, credential=True)

    def login(self):
        return {"user_id": self.id, "password": self._twin.users[self.id].get("password", real.PASSWORD)}

    def own_credential(self):
        secret = self._twin.users[self.id].get("secret", real.PASSWORD)
        return {"application_credential_id": "credential", "application_credential_secret": secret}

    def trusts(self):
        return {id for id, one in self._twin.trusts.items() if one["trustor_user_id"] == self.id}

    def delete_trust(self, id_):
        del self._twin.trusts[id_]


def _json(status, body, headers=None):
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


def _refuse(status):
    return _json(status, {"error": {"code": status, "message": "You are not authorized.", "title": "no"}})


@contextmanager
def keystone_twin():
    """A twin that ends with the test; its ``http`` fails on command."""
    twin = KeystoneTwin()
    with httptwin(lambda request: twin.answer(request)) as http:
        twin.http = http
        twin.url = f"http://{LOCAL}:{http.url.rpartition(':')[2]}/v3"
        yield twin
