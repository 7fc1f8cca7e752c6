# SPDX-License-Identifier: Apache-2.0
"""Which commands does a contributor or an operator who tries Karbor run from the source tree?"""
