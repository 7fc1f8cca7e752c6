# SPDX-License-Identifier: Apache-2.0
"""Which kind of concurrency do the OpenStack libraries use in our processes? Threads.

Import this module before ``oslo_messaging`` in every process: oslo.messaging chooses its back end when it is imported,
and would take eventlet where that happens to be installed.
"""

from oslo_service import backend

backend.init_backend(backend.BackendType.THREADING)
