# SPDX-License-Identifier: Apache-2.0
"""What does a trigger look like in the API?"""

from karbor.model.event import OUTCOMES, SOURCES
from karbor.schema.noun import Field, Noun
from karbor.schema.types import COUNT, LEAF, LINKS, NAME, PROJECT_ID, TEXT, TIMESTAMP, UUID, Schema, an_object, envelope

#: So many times that are left out a preview shows.
LEFT_OUT = 100
_PATTERN = "BEGIN:VEVENT\r\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\r\nEND:VEVENT\r\n"
_ID: Schema = {"type": ["string", "null"], "maxLength": 64, "examples": [UUID["examples"][0]]}
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
    "jitter": {
        "type": ["integer", "string", "null"],
        "maxLength": 20,
        "description": "Type time: moves all its times by the same part of so many seconds.",
        "examples": [600],
    },
    "blackouts": {
        "type": ["array", "string", "null"],
        "items": {"type": "string", "maxLength": 255},
        "maxItems": 20,
        "maxLength": 4096,
        "description": "Type time: when nothing begins, by the clocks of its zone. A text has semicolons between them.",
        "examples": [["MO-FR 08:00-18:00", "2026-12-24/2026-12-26"]],
    },
    "at": {**_TIME, "description": "Type at: the moment, in its zone."},
    "scheduled_operation_id": {**_ID, "description": "Type after: whose run must have ended."},
    "plan_id": {**_ID, "description": "Type after: or the plan, any of whose scheduled runs must have ended."},
    "outcome": {
        "type": ["string", "null"],
        "maxLength": 16,
        "description": "Type after: `success` where it is absent, `failed` or `any`.",
        "examples": ["success"],
    },
    "event_type": {
        "type": ["string", "null"],
        "maxLength": 255,
        "description": "Type notification: pattern of the events.",
        "examples": ["compute.instance.delete.start"],
    },
    "conditions": {
        "type": ["object", "string", "null"],
        "maxProperties": 10,
        "maxLength": 4096,
        "additionalProperties": {**LEAF, "maxLength": 255},
        "description": "Type notification: paths into the payload, and patterns of the values there.",
        "examples": [{"metadata.backup": "yes"}],
    },
}
#: A misspelt property is an error, which its kind tells of. Kinds are plug-ins, and may have more of them.
_GIVEN: Schema = {
    **an_object(_PROPERTIES, required=()),
    "maxProperties": 30,
    "additionalProperties": {**LEAF, "maxLength": 4096},
}
_SHOWN: Schema = {"type": "object", "properties": _PROPERTIES, "examples": [
    {name: _PROPERTIES[name]["examples"][0] for name in ("format", "pattern", "window", "timezone")}
]}  # fmt: skip

_FIELDS = {
    "id": Field(UUID, "Assigned by the service."),
    "name": Field({**NAME, "examples": ["every night"]}, "Shown to people.", create="required", update="optional"),
    "type": Field(
        {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["time"]},
        "Its kind: `time`, `at` (once), `after` (when a run has ended), `webhook`, `notification`, or one that the "
        "operator added.",
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
    "token": Field({**TEXT, "examples": [None]}, "The secret of a new webhook: shown this once; null otherwise."),
    "hook": Field({**TEXT, "examples": [None]}, "The address of a new webhook, with its secret; null otherwise."),
    "links": Field(LINKS, "Where it is found, when it fires next, and what became of its events."),
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
                    "planned": {**TIMESTAMP, "description": "What its pattern says (UTC); its jitter moved it."},
                }
            ),
        },
        "left_out": {
            "type": "array",
            "description": "Times before the last of these that a blackout leaves out: of a long one only the "
            f"first, and at most {LEFT_OUT}.",
            "items": an_object({"at": {**TIMESTAMP, "description": "UTC."}}),
            "examples": [[]],
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


EVENT = Noun(
    "event",
    "events",
    {
        "id": Field(UUID, "Follows from the trigger and from the event."),
        "trigger_id": Field(UUID, "The trigger."),
        "source": Field({"type": "string", "enum": list(SOURCES), "examples": ["webhook"]}, "Where it came from."),
        "type": Field({"type": "string", "examples": ["webhook"]}, "What happened, as its source calls it."),
        "at": Field(TIMESTAMP, "When it was taken (UTC)."),
        "due_at": Field(TIMESTAMP, "When its runs may begin (UTC)."),
        "outcome": Field(
            {"type": "string", "enum": list(OUTCOMES), "examples": ["fired"]},
            "`fired`: it made runs; `joined`: those of the event before are for both; `ignored`: `reason` says why.",
        ),
        "reason": Field(TEXT, "Why it made no runs of its own."),
        "runs": Field({**COUNT, "examples": [1]}, "How many it made."),
    },
)
#: The new secret of a webhook.
SECRET: Schema = envelope(
    "webhook",
    an_object(
        {
            "token": {"type": "string", "description": "The secret; shown this once.", "examples": ["c2VjcmV0"]},
            "hook": {
                "type": "string",
                "description": "The address with it: whoever knows it can fire the trigger.",
                "examples": [f"http://127.0.0.1:8799/hooks/{UUID['examples'][0]}/c2VjcmV0"],
            },
        }
    ),
)
CREATE = with_properties(TRIGGER.create)
UPDATE = with_properties(TRIGGER.update)
