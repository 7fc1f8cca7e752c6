# SPDX-License-Identifier: Apache-2.0
"""What does a trigger look like in the API?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import LINKS, NAME, PROJECT_ID, TIMESTAMP, UUID, Schema, an_object, envelope

_PATTERN = "BEGIN:VEVENT\r\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\r\nEND:VEVENT\r\n"
_TIME: Schema = {"type": ["string", "null"], "maxLength": 40, "examples": ["2026-01-02 00:00:00"]}
_PROPERTIES: dict[str, Schema] = {
    "format": {
        "type": ["string", "null"],
        "maxLength": 64,
        "description": "How the pattern is written: `crontab` or `calendar`, or a format that the operator added.",
        "examples": ["calendar"],
    },
    "pattern": {
        "type": ["string", "null"],
        "maxLength": 4096,
        "description": "A crontab line of five fields, or an iCalendar VEVENT with an RRULE.",
        "examples": [_PATTERN],
    },
    "start_time": {**_TIME, "description": "First moment it may run, UTC. Without it: when the trigger was made."},
    "end_time": {**_TIME, "description": "Last moment it may run, UTC.", "examples": ["2027-01-02 00:00:00"]},
    "window": {
        "type": ["integer", "string", "null"],
        "maxLength": 20,
        "description": "Seconds after its time in which a run may still begin.",
        "examples": [1800],
    },
    "timezone": {
        "type": ["string", "null"],
        "maxLength": 64,
        "description": "The zone that the pattern's times are in, such as `Europe/Berlin`; UTC where it is absent.",
        "examples": ["Europe/Berlin"],
    },
}
#: What is sent is closed: a misspelt property is an error. What is shown may hold more: kinds of triggers are plug-ins.
_GIVEN = an_object(_PROPERTIES, required=())
_SHOWN: Schema = {"type": "object", "properties": _PROPERTIES, "examples": [
    {name: _PROPERTIES[name]["examples"][0] for name in ("format", "pattern", "window", "timezone")}
]}  # fmt: skip

_FIELDS = {
    "id": Field(UUID, "Assigned by the service."),
    "name": Field({**NAME, "examples": ["every night"]}, "Shown to people.", create="required", update="optional"),
    "type": Field(
        {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["time"]},
        "Its kind. `time` is the one that there is.",
        create="required",
    ),
    "properties": Field(
        _SHOWN,
        "When it fires. In a change, what is absent stays as it is, and null takes a property away.",
        create="required",
        update="optional",
    ),
    "project_id": Field(PROJECT_ID, "The project that owns it."),
    "created_at": Field(TIMESTAMP, "When it was made (UTC)."),
    "updated_at": Field(TIMESTAMP, "When it was last changed (UTC)."),
    "next_run": Field(TIMESTAMP, "When it fires next (UTC); null where it does not any more."),
    "links": Field(LINKS, "Where it is found, and when it fires next."),
}
#: The envelope of one is ``trigger_info``, of many ``triggers``.
TRIGGER = Noun("trigger_info", "triggers", _FIELDS)

FIRES: Schema = an_object(
    {
        "fires": {
            "type": "array",
            "description": "The next planned times, the nearest first; fewer than asked for where it ends before.",
            "items": an_object(
                {
                    "at": {**TIMESTAMP, "description": "UTC."},
                    "local": {
                        "type": "string",
                        "description": "The same moment in the zone of the trigger, with the offset of that day.",
                        "examples": ["2026-01-03T02:00:00+01:00"],
                    },
                }
            ),
        },
        "window": {
            "type": "integer",
            "description": "Seconds after each in which a run may still begin.",
            "examples": [1800],
        },
    }
)


def with_properties(body: Schema) -> Schema:
    """A request body of the noun in which the properties are closed."""
    inner = body["properties"]["trigger_info"]
    given = {**_GIVEN, "description": inner["properties"]["properties"]["description"], "examples": _SHOWN["examples"]}
    return envelope("trigger_info", {**inner, "properties": {**inner["properties"], "properties": given}})


CREATE = with_properties(TRIGGER.create)
UPDATE = with_properties(TRIGGER.update)
