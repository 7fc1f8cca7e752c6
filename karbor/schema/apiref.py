# SPDX-License-Identifier: Apache-2.0
"""How does the API document read for people? One page of reStructuredText for each collection.

Made from the document and nothing else; the samples are the files beside the pages.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TITLES = {"os-services": "Services"}
Document = Mapping[str, Any]


def pages(document: Document) -> dict[str, str]:
    """File name to text, the index among them."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, entry in operations.items():
            by_tag.setdefault(entry["tags"][0], []).append(_operation(document, method.upper(), path, entry))
    found = {f"{tag}.rst": _page(tag, parts) for tag, parts in by_tag.items()}
    return {"index.rst": _index(document, list(by_tag)), **found}


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _title(tag: str) -> str:
    return _TITLES.get(tag, tag.replace("_", " ").capitalize())


def _page(tag: str, parts: list[str]) -> str:
    first = ".. This page is generated; see tools/genapi.py.\n\n"
    contents = ".. contents::\n   :local:\n   :depth: 1\n"
    return first + "\n".join([_heading(_title(tag), "="), contents, *parts])


def _index(document: Document, tags: list[str]) -> str:
    tree = "".join(f"   {tag}\n" for tag in tags)
    text = "\n\n".join(_inline(part.replace("\n", " ")) for part in document["info"]["description"].split("\n\n"))
    schemes = "".join(
        f"* {_inline(scheme['description'])}\n" for scheme in document["components"]["securitySchemes"].values()
    )
    return (
        ".. This page is generated; see tools/genapi.py.\n\n"
        + _heading("REST API", "=")
        + f"\n{text}\n\nWho calls is told by one of these:\n\n{schemes}\n"
        + "The same as one document: :download:`openapi.json` (OpenAPI 3.1); each service has its own at\n"
        + "``GET /v1/openapi.json``.\n\n"
        + f".. toctree::\n   :maxdepth: 1\n\n{tree}"
    )


def _operation(document: Document, method: str, path: str, entry: Document) -> str:
    parts = [_heading(_inline(entry["summary"]), "-"), f"``{method} {path}``\n"]
    if "description" in entry:
        parts.append(_inline(entry["description"]) + "\n")
    if "x-policy" in entry:
        rule, role = entry["x-policy"], entry["x-role"]
        parts.append(f"Policy rule ``{rule}``; by default it needs the role {role}.\n")
    else:
        parts.append("Needs no login.\n")
    for more in entry.get("x-more-policies", ()):
        text = _inline(more["description"])
        parts.append(f"Some requests need rule ``{more['rule']}`` as well (role {more['role']}): {text}\n")
    if "parameters" in entry:
        rows = [
            (
                parameter["name"],
                parameter["in"],
                _type(document, parameter["schema"]),
                _meaning({**parameter["schema"], **parameter}),
            )
            for parameter in entry["parameters"]
        ]
        parts.append(_table("Parameters", ("Name", "In", "Type", "Meaning"), rows))
    if "requestBody" in entry:
        schema = entry["requestBody"]["content"]["application/json"]["schema"]
        parts.append(_fields(document, "Request", schema))
        parts.append(_sample("Sample of a request", f"{entry['operationId']}-request"))
    parts.append(_answers(document, entry))
    return "\n".join(parts)


def _answers(document: Document, entry: Document) -> str:
    parts, rows = [], []
    for status, answer in entry["responses"].items():
        described = _resolved(document, answer)
        rows.append((status, _inline(described["description"])))
        if status[0] == "2" and "application/json" in described.get("content", ()):
            schema = described["content"]["application/json"]["schema"]
            parts.append(_fields(document, "Response", schema))
            parts.append(_sample("Sample of a response", f"{entry['operationId']}-response"))
    return "\n".join([_table("Statuses", ("Status", "Meaning"), rows), *parts])


def _sample(title: str, name: str) -> str:
    return f"{title}:\n\n.. literalinclude:: samples/{name}.json\n   :language: json\n"


def _table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :widths: auto", ""]
    for row in (heads, *rows):
        for place, cell in enumerate(row):
            lines.append(f"   {'*' if not place else ' '} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def _fields(document: Document, title: str, schema: Document) -> str:
    rows = [
        (f"``{name}``", _type(document, inner), "yes" if required else "no", _meaning(inner))
        for name, inner, required in _walk(document, schema, "")
    ]
    if not rows:
        return f"{title}: an object.\n"
    return _table(title, ("Field", "Type", "Required" if title == "Request" else "Always", "Meaning"), rows)


def _walk(document: Document, schema: Document, path: str) -> Iterator[tuple[str, Document, bool]]:
    """Every field with its path: ``plan.resources[].id``."""
    known = _resolved(document, schema)
    for choice in known.get("anyOf", ()):  # one of several answers: none of their outermost fields is always there
        for name, inner, required in _walk(document, choice, path):
            yield name, inner, required and name != name.partition(".")[0]
    if "items" in known:
        yield from _walk(document, known["items"], f"{path}[]")
    for name, inner in known.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        yield place, {**_resolved(document, inner), **inner}, name in known.get("required", ())
        yield from _walk(document, inner, place)


def _resolved(document: Document, schema: Document) -> Document:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found  # type: ignore[no-any-return]


def _type(document: Document, schema: Document) -> str:
    known = _resolved(document, schema)
    if "enum" in known:
        return " or ".join(f"``{'null' if value is None else value}``" for value in known["enum"])
    kinds = known.get("type", "any")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if "items" in known:
        text += f" of {_type(document, known['items'])}"
    return f"{text} ({known['format']})" if "format" in known else text


def _meaning(schema: Document) -> str:
    text = _inline(schema.get("description", ""))
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "at least"), ("maximum", "at most"), ("maxLength", "characters: at most"))
        if key in schema
    ]
    if not bounds:
        return text
    return f"{text} ({', '.join(bounds)})" if text else ", ".join(bounds).capitalize()


def _inline(text: str) -> str:
    """Text as docutils wants it: code between double marks, nothing else special."""
    parts = re.split(r"`+([^`]+)`+", " ".join(text.split()))
    plain = [
        re.sub(r"([\\*|]|_\b)", r"\\\1", part) if not place % 2 else f"``{part}``" for place, part in enumerate(parts)
    ]
    return "".join(plain)
