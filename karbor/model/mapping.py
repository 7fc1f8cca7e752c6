# SPDX-License-Identifier: Apache-2.0
"""In which words does a user say what stands in for what, where a checkpoint comes back in another place?"""

#: Where a mapping stands among the parameters of a restore, in the place of a resource type.
MAPPING_TYPE = "OS::Karbor::Mapping"
#: Stands for everything of a kind that is not named; in a new name, for the old one.
ANY = "*"
NAMES = "names"

#: Kinds of things that a mapping knows, and what is said of them to users.
KINDS = {
    "volume_type": "Volume types.",
    "availability_zone": "Availability zones, of servers and of volumes. An empty text leaves it to the cloud.",
    "flavor": "Flavors. One that is not mapped, nor here by its name, becomes the smallest that has as much.",
    "keypair": "Key pairs, by name. An empty text gives none.",
    "network": "Networks.",
    "subnet": "Subnets.",
    "security_group": "Security groups.",
    "server_group": "Server groups, by id. An empty text puts the servers into none.",
    "router": "Routers.",
    "port": "Ports that belong to no server.",
    "floating_ip": "Floating addresses, by id or address.",
    "share_type": "Share types.",
    "share_network": "Share networks.",
    "image": "Images.",
    NAMES: "Names of what is made: the old name and the new one, in which * stands for the old one.",
}
#: Kinds where an empty text means: none, or what the cloud chooses.
MAY_BE_EMPTY = frozenset({"volume_type", "availability_zone", "keypair", "server_group", "share_type", "share_network"})
