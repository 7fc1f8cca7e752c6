# SPDX-License-Identifier: Apache-2.0
"""When it is done: triggers, schedules, retention."""
