# SPDX-License-Identifier: Apache-2.0
"""An OpenStack in memory, spoken to over HTTP as the real one is: for tests of plug-ins, and of everything below."""

from karbor.sdk.testing.memorycloud.cloud import MemoryCloud as MemoryCloud
