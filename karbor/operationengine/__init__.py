# SPDX-License-Identifier: Apache-2.0
"""When is something done, and what has to be done then? Work is begun through the REST API only."""
