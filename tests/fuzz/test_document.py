# SPDX-License-Identifier: Apache-2.0
"""Does the service do what its document says, whatever it is asked?

Requests are generated from the document, valid ones and invalid ones, and sent to the application in this process. All
checks of schemathesis are on: no fault of the server, no status, content type, header or body that the document does
not tell of, nothing invalid taken, nothing valid refused, no login left out, no method that is not there.

As part of all tests each operation gets a few requests, the same ones on every run. tests/README.rst tells how to
send many more, other ones each time.
"""

import os
from collections import Counter

import hypothesis
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from karbor.api.v1.tree import ENDPOINTS
from karbor.schema import openapi
from tests.fuzz.meaning import give_meaning
from tests.fuzz.world import login, make_world
from tests.support.api import PROJECT

#: Requests for each operation and kind; the environment asks for more.
EXAMPLES = int(os.environ.get("KARBOR_FUZZ_EXAMPLES", "0"))
FEW = 8
SENT = Counter()


CONFIG = SchemathesisConfig()
CONFIG.projects.default.checks.positive_data_acceptance.expected_statuses.append("412")  # a tag that nothing has
CONFIG.projects.default.generation.update(with_security_parameters=False)  # ignored_auth tries those
CONFIG.projects.default.generation.allow_extra_parameters = False  # unknown ones are ignored, as they always were
CONFIG.projects.default.analysis.constants.enabled = False  # or a new word in the code would change what is sent


class Current:
    """Stands for the application of the test that runs now."""

    app = None

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


CURRENT = Current()
SCHEMA = schemathesis.openapi.from_dict(openapi.document(ENDPOINTS, logins=("basic",)), config=CONFIG)
SCHEMA.app = CURRENT


@pytest.fixture(scope="module", autouse=True)
def count():
    """Tell how much was sent."""
    yield
    print(f"\n{sum(SENT.values())} requests: {dict(sorted(SENT.items()))}")


@pytest.fixture
def api(tmp_path_factory):
    """Each operation begins with the same rows, so that it does not matter which others were tried before."""
    made = make_world(tmp_path_factory.mktemp("fuzz"), PROJECT, quota_plans=-1)
    CURRENT.app = made.app
    yield made
    made.database.dispose()


@SCHEMA.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES or FEW,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
def test_the_service_does_what_its_document_says(api, case):
    give_meaning(case)
    response = case.call_and_validate(headers=login("root"))
    SENT[response.status_code] += 1
