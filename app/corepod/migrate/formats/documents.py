"""YAML and JSON. pyyaml is imported where a file needs it: it belongs to the extra `migrate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from corepod.migrate.model import MigrateError

if TYPE_CHECKING:
    from types import ModuleType


def _yaml(why: str) -> ModuleType:
    try:
        import yaml
    except ImportError:
        raise MigrateError(f"{why} needs a further package: pip install 'corepod[migrate]'") from None
    return yaml


def load_all(text: str, name: str) -> list[Any]:
    """The documents of a YAML file that aren't empty. Raises MigrateError."""
    yaml = _yaml(f"{name}: reading YAML")
    try:
        return [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        hint = "; a template of Helm is rendered first: helm template | corepod migrate -" if "{{" in text else ""
        raise MigrateError(f"{name}: is not YAML: {error}{hint}") from None


def dump(content: Any) -> str:
    text: str = _yaml("writing YAML").safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text


def load_json(text: str, name: str) -> Any:
    """Raises MigrateError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise MigrateError(f"{name}: is not JSON: {error}") from None


def shown(value: Any) -> str:
    """A value of any kind as one line."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
