# SPDX-License-Identifier: Apache-2.0
"""What does a cloud answer, step by step, to all that plug-ins ask of it? Asked of the real one and of the twin alike.

``walk`` notes the shape of each answer: which fields there are and of what kind; of states and refusals the words
themselves. It removes what it made.
"""

import contextlib

from karbor.model import errors

#: Fields whose own fields are names of somebody's choice.
_OPEN = ("metadata", "addresses", "extra_specs", "required_extra_specs", "properties")
#: Fields of the real services that the twin does not have, because no plug-in could use them.
UNKNOWN = {
    "is_default", "os_hash_value", "standard_attr_id", "revision_number", "normalized_cidr", "binding:host_id",
    "binding:vif_type",
    "binding:vif_details", "binding:profile", "qos_policy_id", "distributed", "ha", "enable_snat",
    "ramdisk_id", "kernel_id", "propagate_uplink_status", "resource_request", "ip_allocation", "dns_name",
    "dns_assignment", "stores",
}  # fmt: skip


def shape(value, name=""):
    """The fields of an answer by kind; a state as it is."""
    if isinstance(value, dict):
        if name in _OPEN:
            return "open"
        return {key: shape(one, key) for key, one in sorted(value.items()) if key not in UNKNOWN}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if name == "status":
        return value
    return {bool: "bool", int: "number", float: "number", str: "text", type(None): None}[type(value)]


def alike(one, other):
    """Whether two shapes are of answers to the same question; what is null or empty may be anything."""
    if one is None or other is None or one == [] or other == []:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return alike(one[0], other[0])
    return one == other


def differences(one, other, path=""):
    """Where two shapes are not alike, for people."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{path}/{key}: only one of them has it" for key in sorted(one.keys() ^ other.keys())]
        for key in sorted(one.keys() & other.keys()):
            found += differences(one[key], other[key], f"{path}/{key}")
        return found
    if isinstance(one, list) and isinstance(other, list) and one and other:
        return differences(one[0], other[0], f"{path}[]")
    return [] if alike(one, other) else [f"{path}: {one!r}, {other!r}"]


class Walk:
    """One walk through a cloud. ``image`` and ``network`` name what a server can be made of; ``protocol`` and
    ``access`` (kind, whom), what its shares speak."""

    def __init__(self, cloud, *, image, network, protocol="CEPHFS", access=("cephx", "walk"), deadline=600):
        self.cloud, self.image, self.network, self.deadline = cloud, image, network, deadline
        self.protocol, self.access = protocol, access
        self.steps = {}
        self._undo = contextlib.ExitStack()

    def run(self):
        """The shapes by step."""
        with self._undo:
            volume = self._volumes()
            self._backups(volume)
            self._images()
            self._networks()
            self._servers(volume)
            self._shares()
            self._choices()
        return self.steps

    def _note(self, step, answer):
        self.steps[step] = shape(answer)
        return answer

    def _refused(self, step, function, *args, **named):
        try:
            function(*args, **named)
        except errors.KarborError as refusal:
            self.steps[step] = [type(refusal).__name__]
        else:
            self.steps[step] = ["done"]

    def _json(self, service, path, **query):
        return getattr(self.cloud, service).get(path, params=query).json()

    def _made(self, service, path, key, body):
        """The id of what was made, which is removed in the end."""
        made = getattr(self.cloud, service).post(path, json={key: body} if key else body).json()
        return self._note(f"POST {path}", made), (made[key] if key else made)["id"]

    def _wait(self, service, path, key, wanted):
        def reached(found):
            assert found["status"].lower() != "error", found
            return found["status"].lower() == wanted

        return self.cloud.wait(lambda: self._json(service, path)[key], reached, what=path, deadline=self.deadline)

    def _remove(self, service, path):
        with contextlib.suppress(errors.NotFound):
            getattr(self.cloud, service).delete(path)
            if service in ("block_storage", "compute", "shared_file_system"):
                self.cloud.wait_gone(lambda: self._json(service, path), what=path, deadline=self.deadline)

    def _later(self, service, path):
        self._undo.callback(self._remove, service, path)

    def _volumes(self):
        block = self.cloud.block_storage
        _answer, volume = self._made("block_storage", "/volumes", "volume", {"name": "walk", "size": 1})
        self._later("block_storage", f"/volumes/{volume}")
        self._wait("block_storage", f"/volumes/{volume}", "volume", "available")
        self._note("volume", self._json("block_storage", f"/volumes/{volume}"))
        self._note("volumes", self._json("block_storage", "/volumes/detail", sort="id:asc", limit=1))
        self._refused("no volume", block.get, "/volumes/nothing")
        self._refused("too large a volume", block.post, "/volumes", json={"volume": {"size": 1_000_000}})
        body = {"volume_id": volume, "name": "walk", "metadata": {"karbor": "walk"}}
        _answer, snapshot = self._made("block_storage", "/snapshots", "snapshot", body)
        self._later("block_storage", f"/snapshots/{snapshot}")
        self._wait("block_storage", f"/snapshots/{snapshot}", "snapshot", "available")
        self._note("volume snapshot", self._json("block_storage", f"/snapshots/{snapshot}"))
        self._note("volume snapshots", self._json("block_storage", "/snapshots/detail"))
        self._refused("volume with snapshots deleted", block.delete, f"/volumes/{volume}")
        self._remove("block_storage", f"/snapshots/{snapshot}")
        self._note("limits of block storage", self._json("block_storage", "/limits"))
        return volume

    def _backups(self, volume):
        block = self.cloud.block_storage
        body = {"volume_id": volume, "name": "walk", "container": "karbor-walk"}
        first = {"backup": {**body, "incremental": True}}
        self._refused("increment without a full backup", block.post, "/backups", json=first)
        _answer, full = self._made("block_storage", "/backups", "backup", body)
        self._later("block_storage", f"/backups/{full}")
        self._wait("block_storage", f"/backups/{full}", "backup", "available")
        self._note("full backup", self._json("block_storage", f"/backups/{full}"))
        increment = block.post("/backups", json=first).json()["backup"]["id"]
        self._later("block_storage", f"/backups/{increment}")
        self._wait("block_storage", f"/backups/{increment}", "backup", "available")
        self._note("incremental backup", self._json("block_storage", f"/backups/{increment}"))
        self._note("backups", self._json("block_storage", "/backups/detail"))
        self._refused("base of increments deleted", block.delete, f"/backups/{full}")
        answer = block.post(f"/backups/{increment}/restore", json={"restore": {"name": "walk restored"}}).json()
        self._note("backup restored", answer)
        restored = answer["restore"]["volume_id"]
        self._later("block_storage", f"/volumes/{restored}")
        self._wait("block_storage", f"/volumes/{restored}", "volume", "available")
        self._wait("block_storage", f"/backups/{increment}", "backup", "available")

    def _images(self):
        image = self.cloud.image
        body = {"name": "walk", "disk_format": "raw", "container_format": "bare"}
        _answer, id_ = self._made("image", "/images", "", body)
        self._later("image", f"/images/{id_}")
        stream = {"Content-Type": "application/octet-stream"}
        image.put(f"/images/{id_}/file", data=b"walk" * 1000, headers=stream)
        self._note("image", self._json("image", f"/images/{id_}"))
        self._note("images", self._json("image", "/images", sort_key="id", sort_dir="asc", id=f"in:{id_}"))
        assert image.get(f"/images/{id_}/file").content == b"walk" * 1000
        self._refused("image filled twice", image.put, f"/images/{id_}/file", data=b"x", headers=stream)
        self._refused("no image", image.get, "/images/nothing")
        self._refused("image of others deleted", image.delete, f"/images/{self.image}")

    def _networks(self):
        network = self.cloud.network
        _answer, net = self._made("network", "/networks", "network", {"name": "walk"})
        self._later("network", f"/networks/{net}")
        body = {"network_id": net, "cidr": "10.99.0.0/24", "ip_version": 4, "name": "walk"}
        _answer, subnet = self._made("network", "/subnets", "subnet", body)
        _answer, router = self._made("network", "/routers", "router", {"name": "walk"})
        self._later("network", f"/routers/{router}")
        _answer, group = self._made("network", "/security-groups", "security_group", {"name": "walk"})
        self._later("network", f"/security-groups/{group}")
        rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22,
                "port_range_max": 22}  # fmt: skip
        self._made("network", "/security-group-rules", "security_group_rule", rule)
        _answer, port = self._made("network", "/ports", "port", {"network_id": net, "security_groups": [group]})
        self._later("network", f"/ports/{port}")
        answer = network.put(f"/routers/{router}/add_router_interface", json={"subnet_id": subnet}).json()
        self._note("router interface", answer)
        self._refused("network in use deleted", network.delete, f"/networks/{net}")
        self._refused("router in use deleted", network.delete, f"/routers/{router}")
        network.put(f"/routers/{router}/remove_router_interface", json={"subnet_id": subnet})
        self._refused("no network", network.get, "/networks/nothing")
        self._note("networks", self._json("network", "/networks", sort_key="id", sort_dir="asc"))

    def _servers(self, volume):
        compute = self.cloud.compute
        flavor = next(one["id"] for one in compute.each("/flavors/detail", "flavors") if one["name"] == "m1.nano")
        body = {"name": "walk", "flavorRef": flavor, "imageRef": self.image, "networks": [{"uuid": self.network}],
                "metadata": {"app": "walk"}, "tags": ["walk"]}  # fmt: skip
        _answer, server = self._made("compute", "/servers", "server", body)
        self._later("compute", f"/servers/{server}")
        self._wait("compute", f"/servers/{server}", "server", "active")
        self._note("server", self._json("compute", f"/servers/{server}"))
        self._note("servers", self._json("compute", "/servers/detail", sort_key="uuid", sort_dir="asc", tags="walk"))
        path = f"/servers/{server}/os-volume_attachments"
        attached = compute.post(path, json={"volumeAttachment": {"volumeId": volume}}).json()
        self._note("volume attached", attached)
        self._wait("block_storage", f"/volumes/{volume}", "volume", "in-use")
        self._note("volume in use", self._json("block_storage", f"/volumes/{volume}"))
        self._note("attachments", self._json("compute", path))
        compute.delete(f"{path}/{volume}")
        self._wait("block_storage", f"/volumes/{volume}", "volume", "available")
        self._refused("no server", compute.get, "/servers/nothing")
        self._refused("server stopped", compute.post, f"/servers/{server}/action", json={"os-start": None})

    def _shares(self):
        shares = self.cloud.shared_file_system
        given = {"name": "walk", "size": 1, "share_proto": self.protocol, "metadata": {"app": "walk"}}
        _answer, share = self._made("shared_file_system", "/shares", "share", given)
        self._later("shared_file_system", f"/shares/{share}")
        self._wait("shared_file_system", f"/shares/{share}", "share", "available")
        self._note("share", self._json("shared_file_system", f"/shares/{share}"))
        asked = {"sort_key": "id", "sort_dir": "asc", "limit": 1, "offset": 0}
        self._note("shares", self._json("shared_file_system", "/shares/detail", **asked))
        self._refused("no share", shares.get, "/shares/nothing")
        body = {"share_id": share, "name": "walk", "description": "walk", "force": False}
        _answer, snapshot = self._made("shared_file_system", "/snapshots", "snapshot", body)
        self._later("shared_file_system", f"/snapshots/{snapshot}")
        self._wait("shared_file_system", f"/snapshots/{snapshot}", "snapshot", "available")
        self._note("share snapshot", self._json("shared_file_system", f"/snapshots/{snapshot}"))
        self._note("share snapshots", self._json("shared_file_system", "/snapshots/detail", share_id=share, **asked))
        self._refused("no share snapshot", shares.get, "/snapshots/nothing")
        self._refused("share with snapshots deleted", shares.delete, f"/shares/{share}")
        rule = {"access_type": self.access[0], "access_to": self.access[1], "access_level": "rw"}
        self._allow(share, rule)
        self._refused("access given twice", shares.post, f"/shares/{share}/action", json={"allow_access": rule})
        given = {"name": "walk restored", "size": 1, "share_proto": self.protocol, "snapshot_id": snapshot}
        restored = shares.post("/shares", json={"share": given}).json()["share"]["id"]
        self._later("shared_file_system", f"/shares/{restored}")
        self._wait("shared_file_system", f"/shares/{restored}", "share", "available")
        self._note("share of a snapshot", self._json("shared_file_system", f"/shares/{restored}"))
        self._remove("shared_file_system", f"/snapshots/{snapshot}")

    def _allow(self, share, rule):
        """Noted when it has come into force: how soon that is, no answer promises."""
        api = self.cloud.shared_file_system
        answer = api.post(f"/shares/{share}/action", json={"allow_access": rule}).json()
        self._note("access given", answer)
        self.cloud.wait(
            lambda: self._json("shared_file_system", "/share-access-rules", share_id=share)["access_list"],
            lambda rules: [one["state"] for one in rules] == ["active"],
            what="rule",
            deadline=self.deadline,
        )
        self._note("access rules", self._json("shared_file_system", "/share-access-rules", share_id=share))

    def _choices(self):
        """What a project may have, has, and can choose from."""
        project = self.cloud.project_id
        types = [one["name"] for one in self._json("block_storage", "/types")["volume_types"]]
        told = self._json("block_storage", f"/os-quota-sets/{project}", usage="True")["quota_set"]
        by_type = {f"{kind}_{name}": kind for name in types for kind in told}
        self._note("quotas of block storage", {key: one for key, one in told.items() if key not in by_type})
        self.steps["quotas of volume types"] = sorted({by_type[key] for key in told if key in by_type})
        self._note("quotas of images", self._json("image", "/info/usage"))
        self._note("quotas of shares", self._json("shared_file_system", f"/quota-sets/{project}/detail"))
        self._note("quotas of networks", self._json("network", f"/quotas/{project}/details.json"))
        self._note("volume types", self._json("block_storage", "/types"))
        self._note("share types", self._json("shared_file_system", "/types"))
        self._note("flavors", self._json("compute", "/flavors/detail"))
        self._note("zones of servers", self._json("compute", "/os-availability-zone"))
        self._note("zones of volumes", self._json("block_storage", "/os-availability-zone"))
        self._note("server groups", self._json("compute", "/os-server-groups"))
        self._refused("quotas of others", self.cloud.block_storage.get, f"/os-quota-sets/{'0' * 32}")
        self._refused("no key pair", self.cloud.compute.get, "/os-keypairs/nothing")
        self._refused("no server group", self.cloud.compute.get, "/os-server-groups/nothing")
