# SPDX-License-Identifier: Apache-2.0
"""Is a new restore in progress, with nothing said of its resources?"""

from karbor.model import states
from karbor.model.restore import Restore, without_secrets


def test_a_new_restore_is_in_progress():
    restore = Restore("r", "p", "v", "c")
    assert restore.status == states.RESTORE.initial == "in_progress"
    assert restore.resources_status == restore.resources_reason == {}


def test_secret_parameters_are_hidden_and_all_others_shown():
    given = {"OS::Heat::Stack": {"stack_parameters": '{"shop": {}}', "engine": "auto"}, "T": {"stack_parameters": "x"}}
    shown = without_secrets(given)
    assert shown == {**given, "OS::Heat::Stack": {"stack_parameters": "***", "engine": "auto"}}
    assert without_secrets({"OS::Heat::Stack": {"stack_parameters": ""}})["OS::Heat::Stack"]["stack_parameters"] == ""
