# SPDX-License-Identifier: Apache-2.0
"""Can a part of a template be kept as JSON and read again?"""

import json

from karbor.sdk.template import HeatParameter, HeatResource, part_from_dict, reference

PORT = HeatResource("p", "OS::Neutron::Port", {"network": reference("n", or_else="m")}, ("n",), shown=False)
IMAGE = HeatParameter("i", "new-image", "the image of both servers")


def test_a_resource_survives_json():
    assert part_from_dict(json.loads(json.dumps(PORT.to_dict()))) == PORT


def test_a_parameter_survives_json():
    assert part_from_dict(json.loads(json.dumps(IMAGE.to_dict()))) == IMAGE
