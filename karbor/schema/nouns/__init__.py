# SPDX-License-Identifier: Apache-2.0
"""Which things does the API know, and what does each field of them mean?"""
