# SPDX-License-Identifier: Apache-2.0
"""How are the services of a cloud asked, and as whom?"""
