"""The fenced blocks of the README, of CONTRIBUTING.md and of the site's pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if "--8<--" not in path.read_text()),
)

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: File that it stands in, relative to the project.
        line: Line of its fence.
        language: What stands behind the fence.
        title: Name of the file that it shows, if it has one.
        text: What it holds.
    """

    page: str
    line: int
    language: str
    title: str | None
    text: str

    def commands(self) -> list[list[str]]:
        """Return a shell block's commands, each as its words."""
        lines = self.text.splitlines()
        return [shlex.split(each) for line in lines for each in line.split("&&") if each.strip()]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield a page's fenced blocks.

    Raises:
        ValueError: A fence has no language, or does not end.
    """
    text = page.read_text(encoding="utf-8")
    name = str(page.relative_to(ROOT))
    found = list(_BLOCK.finditer(text))
    fences = len(re.findall(r"^\s*```", text, flags=re.MULTILINE))
    if fences != 2 * len(found):
        raise ValueError(f"{name}: a fenced block has no language, or does not end")
    for match in found:
        line = text.count("\n", 0, match.start()) + 1
        yield Block(name, line, match[1], match[2], match[3])
