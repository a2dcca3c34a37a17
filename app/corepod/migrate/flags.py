"""Splits a command line into flags with their values, as argparse and click do."""

from __future__ import annotations

from dataclasses import dataclass, field

VALUE, BARE, NO, OPTIONAL = "value", "bare", "no", "optional"


@dataclass(frozen=True)
class Flag:
    """`name` is that of the setting; NO switches a flag off, OPTIONAL may have a value behind it."""

    name: str
    takes: str = VALUE


@dataclass
class Parsed:
    """`given` has each setting's flag as it was written and its values, `unknown` the words that nothing explains."""

    given: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def table(text: str, takes: str = VALUE) -> dict[str, Flag]:
    """Flags from lines of "setting -s --flag --other"."""
    return {flag: Flag(line.split()[0], takes) for line in text.strip().splitlines() for flag in line.split()[1:]}


def parse(words: list[str], flags: dict[str, Flag]) -> Parsed:
    parsed = Parsed()
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            parsed.words += left
            break
        if not word.startswith("-") or word == "-":
            parsed.words.append(word)
            continue
        written, value = _split(word, flags)
        flag = flags.get(_whole(written, flags))
        if flag is None:
            parsed.unknown.append(word)
            if value is None and left and not left[0].startswith("-") and len(left) > 1:
                parsed.unknown[-1] += f" {left.pop(0)}"
            continue
        if flag.takes in (BARE, NO):
            value = "true" if flag.takes == BARE else "false"
        elif value is None and flag.takes == OPTIONAL:
            value = "true"
        elif value is None:
            value = left.pop(0) if left else ""
        parsed.given.setdefault(flag.name, (_whole(written, flags), []))[1].append(value)
    return parsed


def _split(word: str, flags: dict[str, Flag]) -> tuple[str, str | None]:
    """The flag of a word and the value in the same word: --flag=value, -fvalue."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None
    if len(word) > 2 and word not in flags and word[:2] in flags and flags[word[:2]].takes == VALUE:
        return word[:2], word[2:].removeprefix("=")
    return word, None


def _whole(written: str, flags: dict[str, Flag]) -> str:
    """The flag that an abbreviation stands for, as argparse has it."""
    if written in flags or not written.startswith("--"):
        return written
    meant = {flags[flag].name: flag for flag in flags if flag.startswith(written)}
    return next(iter(meant.values())) if len(meant) == 1 else written
