"""Several duties as one: what housekeeping does, each on its own, so that one that cannot be done hides no other."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import GlomskaError


def each_of(*duties: Callable[[], object]) -> Callable[[], None]:
    """All of them, whatever happens to one; what the first that failed raised is raised in the end."""

    def all_of_them() -> None:
        faults: list[GlomskaError] = []
        for duty in duties:
            try:
                duty()
            except GlomskaError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    return all_of_them
