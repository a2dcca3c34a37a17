"""Why something that was asked of the supervisor isn't done."""


class Refused(Exception):
    """Nothing was changed; the text is for people."""
