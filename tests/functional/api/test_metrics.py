# SPDX-License-Identifier: Apache-2.0
"""Are requests counted under the names of the API reference, behind all layers?"""

from prometheus_client.parser import text_string_to_metric_families


def requests(api):
    answer = api.raw("GET", "/metrics")
    assert answer.status_int == 200
    return {
        (sample.labels["operation"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "karbor_api_requests_total"
    }


def test_requests_are_counted_by_operation_and_status(api):
    api.get("/plans")
    api.get("/plans")
    api.send("GET", "/plans/3c65d64b-c6a6-4aa3-a2ec-1b4ec4e1ee0c")
    api.raw("GET", "/nowhere")
    found = requests(api)
    assert (found["plan_get_all", "200"], found["plan_get", "404"], found["none", "404"]) == (2, 1, 1)
    assert requests(api) == found  # looking at them is not counted
