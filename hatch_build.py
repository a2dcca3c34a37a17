"""The description that package indexes show: README.md without links and pictures that would lead nowhere there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ELSEWHERE = re.compile(r"[a-z]+://|#|mailto:")
PICTURE = re.compile(r"<picture>.*?</picture>\n*", re.DOTALL)
SOURCE = re.compile(r"""((?:src|srcset)=")([^"]+)""")
LINK = re.compile(r"(!?)\[([^]]*)\]\(([^)\s]+)\)")


def description(readme: str, home: str) -> str:
    """The text for an index. With `home`, where the repository's files can be read, links and pictures lead there;
    without it, links become their text, and pictures are left out."""

    def absolute(path: str) -> str:
        return path if ELSEWHERE.match(path) else f"{home.rstrip('/')}/{path}"

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if home or ELSEWHERE.match(target):
            return f"{mark}[{text}]({absolute(target)})"
        return "" if mark else text

    text = LINK.sub(link, readme)
    text = SOURCE.sub(lambda found: found[1] + absolute(found[2]), text) if home else PICTURE.sub("", text)
    return re.sub(r"\n{3,}", "\n\n", text)


class DescriptionHook(MetadataHookInterface):
    """Fills in `readme`. The address of the repository's files is `Files` in the project's `urls`, if there is one."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        home = metadata.get("urls", {}).get("Files", "")
        metadata["readme"] = {"content-type": "text/markdown", "text": description(readme, home)}
