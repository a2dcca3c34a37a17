"""Lines of the supervisor's log in colours."""

from __future__ import annotations

from rich.text import Text

from corepod.contract.escaping import from_bytes


def styled(line: bytes) -> Text:
    """A line for a terminal."""
    text = Text(from_bytes(line))
    text.highlight_regex(r"^\S+Z (?=[A-Z]+ )", "dim")
    text.highlight_regex(r"(?<=Z )WARNING", "yellow")
    text.highlight_regex(r"(?<=Z )ERROR", "bold red")
    text.highlight_regex(r"\[(process|worker) [^]]*\]|^worker [^|]* \|", "cyan")
    return text
