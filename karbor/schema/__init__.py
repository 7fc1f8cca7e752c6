# SPDX-License-Identifier: Apache-2.0
"""The shape of JSON: shared fragments, validation, OpenAPI."""
