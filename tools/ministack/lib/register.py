# SPDX-License-Identifier: Apache-2.0
"""Accounts and catalogue entries in keystone, as the admin of the OS_* environment.

register.py service PASSWORD REGION USER [TYPE NAME URL]...
register.py tenant PASSWORD NAME...
register.py domain PASSWORD DOMAIN ADMIN
"""

import os
import sys

from keystoneauth1 import loading
from keystoneclient.v3 import client

mode, password, *rest = sys.argv[1:]
names = ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name")
options = {name: os.environ["OS_" + name.upper()] for name in names}
auth = loading.get_plugin_loader("password").load_from_options(**options)
ks = client.Client(session=loading.session.Session().load_from_options(auth=auth))


def ensure(manager, name, **more):
    found = [one for one in manager.list() if one.name == name]
    return found[0] if found else manager.create(name=name, **more)


def account(user, project, *roles):
    project = ensure(ks.projects, project, domain="default")
    user = ensure(ks.users, user, domain="default", password=password)
    for role in roles:
        ks.roles.grant(ensure(ks.roles, role), user=user, project=project)


if mode == "tenant":
    for name in rest:
        account(name, name, "member")
    account("admin", "demo", "admin")
elif mode == "domain":
    domain = ensure(ks.domains, rest[0])
    found = ks.users.list(domain=domain, name=rest[1])
    admin = found[0] if found else ks.users.create(name=rest[1], domain=domain, password=password)
    ks.roles.grant(ensure(ks.roles, "admin"), user=admin, domain=domain)
    ensure(ks.roles, "heat_stack_user")
else:
    region, user, *rest = rest
    account(user, "service", "admin", "service")
    while rest:
        kind, name, url, *rest = rest
        service = next(iter(ks.services.list(type=kind)), None) or ks.services.create(name=name, type=kind)
        have = {e.interface: e for e in ks.endpoints.list(service=service.id)}
        for interface in ("public", "internal", "admin"):
            if interface not in have:
                ks.endpoints.create(service=service.id, url=url, interface=interface, region=region)
            elif have[interface].url != url:
                ks.endpoints.update(have[interface].id, url=url)
