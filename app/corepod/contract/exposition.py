"""Prometheus' text format 0.0.4."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Family = tuple[str, str, str, tuple[str, ...]]  # name, type, help, names of the labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_IN_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Exposition:
    """Collects samples, because the format wants all samples of a metric together, behind its help and type."""

    def __init__(self, families: Iterable[Family]) -> None:
        """`families` are the metrics that may be written, in this order."""
        self._families = {family[0]: family for family in families}
        self._lines: dict[str, list[str]] = {name: [] for name in self._families}

    def put(self, name: str, value: float | None, *labels: object) -> None:
        """Add one sample; a value of None is unknown and left out.

        Raises KeyError for a metric that isn't among the families, ValueError for the wrong number of labels.
        """
        lines, names = self._lines[name], self._families[name][3]
        if value is not None:
            lines.append(f"{name}{_braces(names, labels)} {_number(value)}\n")

    def histogram(
        self, name: str, bounds: Sequence[float], counts: Sequence[int], total: float, *labels: object
    ) -> None:
        """Add a histogram. `counts` has one number for each bound and one for all above; they are not cumulative."""
        lines, names = self._lines[name], self._families[name][3]
        below = 0
        for bound, count in zip((*bounds, "+Inf"), counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_braces((*names, 'le'), (*labels, bound))} {below}\n")
        lines.append(f"{name}_sum{_braces(names, labels)} {_number(total)}\n")
        lines.append(f"{name}_count{_braces(names, labels)} {below}\n")

    def text(self) -> str:
        """The whole text, without metrics that have no sample."""
        return "".join(self.parts())

    def parts(self) -> Iterator[str]:
        """The same, metric by metric."""
        for name, kind, meaning, _ in self._families.values():
            if self._lines[name]:
                yield f"# HELP {name} {meaning.translate(_IN_HELP)}\n# TYPE {name} {kind}\n"
                yield "".join(self._lines[name])


def _braces(names: Sequence[str], values: Sequence[object]) -> str:
    pairs = zip(names, values, strict=True)
    text = ",".join(f'{name}="{str(value).translate(_IN_LABEL)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    text = str(value)
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
