"""A build hook: the README becomes the package's long description, with absolute links.

In the repository its links are relative. They lead nowhere on the package's page elsewhere, so they are completed with
`Repository` of [project.urls]. Without that they become plain text, and images their descriptions.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?:|#)[^)]+)\)")


def with_absolute_links(markdown: str, repository: str | None) -> str:
    """Return `markdown` with relative links completed by the URL of `repository`, or replaced by their text if None."""

    def absolute(link: re.Match[str]) -> str:
        if repository is None:
            return link["text"]
        page = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({repository.rstrip('/')}/{page}/HEAD/{link['target']})"

    return LINK.sub(absolute, markdown)


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        """Add `readme` to the metadata of the package."""
        markdown = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = with_absolute_links(markdown, metadata.get("urls", {}).get("Repository"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
