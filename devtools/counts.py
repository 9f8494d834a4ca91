"""The results of groups of tests, and the summary at the end."""

from typing import NamedTuple

from . import console


class Count(NamedTuple):
    """The result of a group of tests."""

    name: str
    passed: int
    failed: int
    skipped: int = 0
    seconds: float = 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def summarise(counts: list[Count]) -> int:
    """Print the counts and their sum; return the exit code."""
    console.line()
    width = max((len(count.name) for count in counts), default=0)
    for count in counts:
        console.line(f"{count.name:{width}}  {count}, {count.seconds:.0f} s")
    total = Count("", *(sum(count[column] for count in counts) for column in (1, 2, 3)))
    if not total.passed and not total.failed:
        console.error("No test ran.")
    console.line(str(total))
    return 0 if total.passed and not total.failed else 1
