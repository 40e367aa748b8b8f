"""The reader of the API at `/api/docs`: one page made from the merged document, without a script or a CDN."""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8882;--accent:#2563eb}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:64rem;padding:1.5rem}
h1{margin:0}h2{border-bottom:1px solid var(--line);margin-top:2.5rem;text-transform:capitalize}
nav a{margin-right:1rem}a{color:var(--accent)}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0}
summary{cursor:pointer;padding:.5rem .75rem;display:flex;gap:.75rem;align-items:baseline;flex-wrap:wrap}
details>div{padding:0 .75rem .75rem}code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:var(--soft);border-radius:.375rem;overflow:auto;padding:.75rem;max-height:24rem}
.method{font-weight:700;min-width:4.5rem}.who{margin-left:auto;opacity:.75;font-size:.85rem}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid var(--line)}
th,td{padding:.3rem .5rem;text-align:left;vertical-align:top}
"""

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
).encode()


def render(document: Document) -> bytes:
    """The page. Every text of the document is escaped."""
    groups = [tag["name"] for tag in document["tags"]]
    links = " ".join(f'<a href="#{_text(name)}">{_text(name)}</a>' for name in groups)
    sections = "".join(_section(name, document) for name in groups)
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{_text(info['title'])} API</h1><p>{_text(info['description'])} The same as a document: "
        '<a href="/api/openapi.json">/api/openapi.json</a></p>'
        f'<nav aria-label="Services">{links}</nav></header>'
        f"<main>{sections}</main></body></html>"
    ).encode()


def _section(name: str, document: Document) -> str:
    operations = [
        _operation(method, path, operation, document)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if name in operation["tags"]
    ]
    if not operations:
        return ""
    return f'<section id="{_text(name)}"><h2>{_text(name)}</h2>{"".join(operations)}</section>'


def _operation(method: str, path: str, operation: Document, document: Document) -> str:
    security = operation.get("security", [])
    who = "token needed" if security and {} not in security else "token optional" if security else "anyone"
    parts = [
        f"<p>{_text(operation.get('description') or operation.get('summary', ''))}</p>",
        _parameters(operation.get("parameters", [])),
        _body(operation.get("requestBody"), document),
        _responses(operation.get("responses", {}), document),
    ]
    return (
        f'<details><summary><code class="method">{_text(method.upper())}</code><code>{_text(path)}</code>'
        f'<span>{_text(operation.get("summary", ""))}</span><span class="who">{who}</span></summary>'
        f"<div>{''.join(parts)}</div></details>"
    )


def _parameters(parameters: Iterable[Document]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(p.get('name', ''))}</code></td><td>{_text(p.get('in', ''))}"
        f"{', required' if p.get('required') else ''}</td><td>{_text(p.get('description', ''))}</td></tr>"
        for p in parameters
    )
    head = "<tr><th>Parameter</th><th>Where</th><th>Meaning</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""


def _body(body: Document | None, document: Document) -> str:
    if not body:
        return ""
    shown = "".join(_content(kind, media, document) for kind, media in body.get("content", {}).items())
    return f"<h3>Request body</h3>{shown}"


def _responses(responses: Mapping[str, Document], document: Document) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(status)}</code></td><td>{_text(response.get('description', ''))}"
        f"{_contents(status, response, document)}</td></tr>"
        for status, response in responses.items()
    )
    return f"<h3>Answers</h3><table><tbody>{rows}</tbody></table>"


def _contents(status: str, response: Document, document: Document) -> str:
    if not status.startswith("2"):
        return ""
    return "".join(_content(kind, media, document) for kind, media in response.get("content", {}).items())


def _content(kind: str, media: Document, document: Document) -> str:
    lines = "\n".join(_lines(media.get("schema", {}), document, depth=0))
    return f"<p><code>{_text(kind)}</code></p><pre>{_text(lines)}</pre>"


def _lines(schema: Document, document: Document, *, depth: int) -> Iterable[str]:
    """A schema as indented lines, three levels deep."""
    schema = _resolved(schema, document)
    indent = "  " * depth
    for name, part in schema.get("properties", {}).items():
        inner = _resolved(part, document)
        required = "" if name in schema.get("required", ()) else "?"
        yield f"{indent}{name}{required}: {_kind(inner, document)}  {inner.get('description', '')}".rstrip()
        element = _resolved(inner.get("items", {}), document)
        if depth < 2:
            yield from _lines(element or inner, document, depth=depth + 1)
    if not schema.get("properties") and depth == 0:
        yield _kind(schema, document)


def _resolved(schema: Document, document: Document) -> Document:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    found: Document = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
    return found


def _kind(schema: Document, document: Document) -> str:
    if "anyOf" in schema:
        return " | ".join(_kind(_resolved(choice, document), document) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    kind = str(schema.get("format") or schema.get("type") or schema.get("title") or "any")
    if kind == "array":
        return f"list of {_kind(_resolved(schema.get('items', {}), document), document)}"
    return kind


def _text(value: object) -> str:
    return html.escape(str(value))
