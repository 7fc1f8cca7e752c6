# SPDX-License-Identifier: Apache-2.0
"""Karbor: application data protection as a service."""
