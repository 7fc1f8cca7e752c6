# SPDX-License-Identifier: Apache-2.0
"""What does an engine do with a notification of another service?

It is an event of the project that owns the thing it is about, and of no other: triggers of other projects never see it.
"""

import logging

from sqlalchemy.exc import SQLAlchemyError

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.event import NOTIFICATION, Event
from karbor.operationengine.happenings import Happenings
from karbor.rpc.listener import Told

LOG = logging.getLogger(__name__)


class Hearing:
    """Takes notifications to triggers. Used by many threads."""

    def __init__(self, database: Database, happenings: Happenings) -> None:
        self._database = database
        self._happenings = happenings

    def hear(self, told: Told) -> bool:
        """Whether it was taken for good. It may be told again: it is one event, by its id."""
        if told.project_id is None:
            return True
        event = Event(told.project_id, NOTIFICATION, told.type, told.id, told.payload)
        try:
            if self._happenings.wanted(self._database, event):
                self._database.retrying(lambda rows: self._happenings.take(rows, event))
        except (SQLAlchemyError, errors.KarborError) as fault:
            LOG.warning("notification not taken, it comes again id=%s type=%s cause=%s", told.id, told.type, fault)
            return False
        return True
