# SPDX-License-Identifier: Apache-2.0
"""Do the pages tell everything that the document holds, in a form that docutils understands?"""

import re

import docutils.core
import docutils.utils
import pytest

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema import apiref, openapi

DOCUMENT = openapi.document(ENDPOINTS)
PAGES = apiref.pages(DOCUMENT)
OPERATIONS = [
    pytest.param(path, method, entry, id=entry["operationId"])
    for path, operations in DOCUMENT["paths"].items()
    for method, entry in operations.items()
]


@pytest.mark.parametrize(("path", "method", "entry"), OPERATIONS)
def test_an_operation_has_its_place_rule_statuses_and_samples(path, method, entry):
    page = PAGES[f"{entry['tags'][0]}.rst"]
    assert f"``{method.upper()} {path}``" in page
    assert ("Needs no login." in page) if "x-policy" not in entry else (f"``{entry['x-policy']}``" in page)
    for status in entry["responses"]:
        assert f"   * - {status}\n" in page
    if "requestBody" in entry:
        assert f"samples/{entry['operationId']}-request.json" in page


def test_every_page_is_in_the_index():
    tree = PAGES["index.rst"].split(":maxdepth: 1")[1].split()
    assert sorted(f"{name}.rst" for name in tree) == sorted(PAGES.keys() - {"index.rst"})


def test_fields_are_told_with_their_path():
    assert "``plan.resources[].id``" in PAGES["plans.rst"]


@pytest.mark.parametrize(("name", "always"), [("restore_plan", "no"), ("restore_plan.bytes", "yes")])
def test_each_of_several_answers_is_told_and_none_of_them_is_always_there(name, always):
    row = PAGES["restores.rst"].partition(f"   * - ``{name}``\n")[2].splitlines()
    assert row[1].strip() == f"- {always}"


def test_what_is_special_in_a_text_is_not_so_on_a_page():
    text = apiref._inline("a *b* `c*d` e_ |f|")
    assert text == r"a \*b\* ``c*d`` e\_ \|f\|"


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {"index.rst"}))
def test_docutils_has_nothing_to_say_about_a_page(name):
    text = re.sub(r"\.\. literalinclude:: \S+\n   :language: json", ".. code::\n\n   {}", PAGES[name])
    settings = {"report_level": docutils.utils.Reporter.WARNING_LEVEL, "halt_level": 2, "file_insertion_enabled": False}
    docutils.core.publish_doctree(text, settings_overrides=settings)
