#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which settings can be set, with which meaning and default? Writes etc/karbor/karbor.conf.sample.

tools/genconfig.py [--namespace karbor.provider] [--output-file FILE] [OPTION OF oslo-config-generator...]

oslo-config-generator by itself would load oslo.messaging before anybody chose threads for it.
"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import sys
from pathlib import Path

from oslo_config import generator

ROOT = Path(__file__).resolve().parents[1]


if __name__ == "__main__":
    generator.main(["--config-file", str(ROOT / "etc" / "oslo-config-generator" / "karbor.conf"), *sys.argv[1:]])
