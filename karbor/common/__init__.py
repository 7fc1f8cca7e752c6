# SPDX-License-Identifier: Apache-2.0
"""Contact with the system: time, processes, files, plug-in loading, logging, request context."""
