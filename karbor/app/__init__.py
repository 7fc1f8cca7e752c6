# SPDX-License-Identifier: Apache-2.0
"""Who is connected to whom: the composition root."""
