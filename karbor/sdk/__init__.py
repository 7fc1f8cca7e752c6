# SPDX-License-Identifier: Apache-2.0
"""All that a plug-in author may import, beside karbor.model and karbor.virt."""
