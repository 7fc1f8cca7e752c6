# SPDX-License-Identifier: Apache-2.0
"""How does a restore become a Heat template and a stack?"""
