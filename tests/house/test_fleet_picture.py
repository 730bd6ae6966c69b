"""The picture in docs is the one that the command draws."""

from __future__ import annotations

import re
from pathlib import Path

from firmware_sim.picture import draw

SHIPPED = Path(__file__).parents[2] / "docs" / "fleet.svg"


def test_the_picture_shows_ten_homes_in_all_areas_and_is_the_one_in_docs(tmp_path: Path) -> None:
    """By its words: coordinates may differ in the last digit from one version of matplotlib to the next."""
    draw(tmp_path / "fleet.svg")
    drawn, shipped = (
        re.findall(r"<text[^>]*>([^<]+)</text>", path.read_text()) for path in (tmp_path / "fleet.svg", SHIPPED)
    )
    assert drawn == shipped
    homes = [int(word.split()[1]) for word in drawn if word.startswith("SE")]
    assert (len(homes), sum(homes)) == (4, 10)
