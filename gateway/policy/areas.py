"""Swedish postal code to electricity price area (SE1 to SE4): only the area leaves, never the address.

The table is a CSV file, `from,to,area,accuracy`, inclusive bounds of five digits, ascending and without overlap; lines
that begin with `#` are remarks. A postal code in no range, and one of another country, has no area: the customer cannot
be enrolled with it, since an area pinned wrongly stays with every reading.

    >>> areas = load_areas(Path("config/areas.csv"))
    >>> areas.area("111 22"), areas.area("97100")
    ('SE3', 'SE1')
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigurationFault, UsageFault
from gateway.policy.document import Faults, shown

HEADER = "from,to,area,accuracy"
_CODE = re.compile(r"([0-9]{3}) ?([0-9]{2})", re.ASCII)
_LINE = re.compile(r"([0-9]{5}),([0-9]{5}),(SE[1-4]),([a-z]+)", re.ASCII)


class UnknownPostalCode(UsageFault):
    """A postal code that gives no price area; the code itself is never in the message."""

    code = "unknown_postal_code"
    hint = "give a Swedish postal code, 12345 or '123 45'; if it is right, add its range to the areas file"


@dataclass(frozen=True, slots=True)
class Areas:
    """Ranges of postal codes: row i of each column belongs together, in ascending order."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    names: tuple[str, ...]

    def area(self, postal_code: str) -> str:
        """The price area of "123 45" or "12345", blanks around it ignored. Raises UnknownPostalCode."""
        match = _CODE.fullmatch(postal_code.strip())
        if match is None:
            raise UnknownPostalCode("the postal code is empty" if not postal_code.strip() else "not a postal code")
        code = int(match[1] + match[2])
        i = bisect_right(self.first, code) - 1
        if i < 0 or code > self.last[i]:
            raise UnknownPostalCode("the postal code lies in no price area")
        return self.names[i]


def load_areas(path: Path) -> Areas:
    """The table in the file at `path` (UTF-8). Raises ConfigurationFault with every fault found."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigurationFault(f"{path}: cannot be read: {reason}", hint="see `areas` in gateway.toml") from error
    except UnicodeDecodeError as error:
        raise ConfigurationFault(f"{path}: byte {error.start} is not utf-8", hint="save the file as UTF-8") from error
    return parse_areas(text.splitlines(), str(path))


def parse_areas(lines: Iterable[str], where: str) -> Areas:
    """The table in these lines; `where` names it in messages. Raises ConfigurationFault with every fault found."""
    faults = Faults(where)
    rows: list[tuple[int, int, str]] = []
    told = [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    if not told or told[0][1] != HEADER:
        faults.add(f"line {told[0][0] if told else 1}", found=shown(told[0][1]) if told else "nothing", allowed=HEADER)
    for number, line in told[1:]:
        match = _LINE.fullmatch(line)
        if match is None:
            faults.add(f"line {number}", found=shown(line), allowed="two codes of 5 digits, SE1 to SE4, accuracy")
            continue
        first, last = int(match[1]), int(match[2])
        if last < first or (rows and first <= rows[-1][1]):
            faults.add(f"line {number}", found=shown(line), allowed="ranges that ascend and do not overlap")
        rows.append((first, last, match[3]))
    if not rows:
        faults.add("lines", found="no range", allowed="at least one")
    faults.settle(ConfigurationFault)
    first_codes, last_codes, names = zip(*rows, strict=True)
    return Areas(first_codes, last_codes, names)
