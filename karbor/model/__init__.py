# SPDX-License-Identifier: Apache-2.0
"""The nouns: plain values without I/O, and what they mean."""
