"""The configuration reference in Markdown, written from the schema itself so that it cannot differ from it.

python -m gateway.runtime.reference > docs/configuration.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from gateway.policy.document import Table, allowed_by
from gateway.runtime.config import SECTIONS, Paths
from gateway.runtime.environment import PREFIX

_HEAD = """# Configuration

Written by `python -m gateway.runtime.reference` from the schema; a test sees to it that it is current.

The first of these that exists is read: `--config FILE`, the file that `GLOMSKA_CONFIG` names, `./config/gateway.toml`,
`/etc/glomska/gateway.toml`, the default in the package. A file that was named and is missing is an error.

Any key can be given by an environment variable, which outweighs the file: text as it is, everything else as TOML writes
it (`true`, `30`, `["a", "b"]`). Unknown keys and variables are refused. All faults are reported at once, exit code 3.

Relative paths are taken from the file that they are written in, or from the working directory when a variable gives
them; what is relative to `state` says so. Secrets are never values, only files (`…_file`) with mode 0600.

What is processed, for what and for how long is not here but in the policy, `policy.toml`.
"""


def reference() -> str:
    """The whole page."""
    sections = [_section("At the top", "", Paths)]
    sections += [_section(f"`[{name}]`", f"{name}.", table) for name, table in SECTIONS.items()]
    return "\n".join([_HEAD, *sections])


def _section(title: str, prefix: str, table: type[Table]) -> str:
    about = (table.__doc__ or "").strip()
    head = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", about, "", *head, *_rows(prefix, table), ""])


def _rows(prefix: str, table: type[Table]) -> Iterator[str]:
    properties = table.model_json_schema()["properties"]
    for name, field in table.model_fields.items():
        variable = PREFIX + f"{prefix}{name}".upper().replace(".", "__")
        default = "–" if field.default is None else f"`{json.dumps(field.default)}`"
        cells = (f"`{name}`<br>`{variable}`", default, allowed_by(properties[name]), field.description or "")
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
