"""Why something that was asked of the supervisor isn't done."""


class Refused(Exception):
    """Nothing was changed; the text is for people."""


def whole(text: str) -> int | None:
    """The whole number that a client has written, None for anything else. No number of a pool has more digits, and
    Python refuses to read one of thousands."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None
