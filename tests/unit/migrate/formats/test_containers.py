"""Dockerfiles, compose files and the scripts that start servers in containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from corepod.migrate.model import Fate, MigrateError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.sources import each_once, fates, item, only, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

STAGES = """\
# syntax=docker/dockerfile:1
FROM python:3.14-slim AS base
ENV PYTHONUNBUFFERED=1 \\
    # the port that the load balancer knows
    PORT=8080
WORKDIR /srv

FROM base AS build
RUN <<EOF
pip wheel .
CMD ["not this"]
EOF
CMD ["nor this"]

FROM base
COPY --from=build /dist /dist
USER 1000
EXPOSE 8080
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s CMD curl -f http://localhost:8080/health || exit 1
ENTRYPOINT ["tini", "--"]
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", \\
     "--port", "9090"]
"""


def test_the_last_stage_of_a_dockerfile(tmp_path: Path) -> None:
    migration = read_file(tmp_path, "Dockerfile", STAGES)
    program = only(migration)
    assert program.settings["bind"] == ["0.0.0.0:9090"]
    assert program.settings["workers"] == 1
    head = STAGES[: STAGES.index("STOPSIGNAL")]
    check = next(line for line in STAGES.splitlines() if line.startswith("HEALTHCHECK"))
    assert migration.files["Dockerfile"] == f'{head}{check}\nCMD ["corepod", "pid1"]\n'
    assert fates(program)["STOPSIGNAL"] is Fate.DROPPED
    assert "/health" in item(program, "HEALTHCHECK").note
    assert any("docker stop" in note for note in migration.notes)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("CMD gunicorn app:app -w 3", 'CMD ["corepod", "run"]'),
        ("CMD exec /venv/bin/gunicorn app:app --workers 1", 'CMD ["/venv/bin/corepod", "pid1"]'),
        ('ENTRYPOINT ["gunicorn"]\nCMD ["app:app", "-w", "2"]', 'ENTRYPOINT ["corepod", "run"]'),
        ('ENTRYPOINT ["/wait.sh"]\nCMD ["gunicorn", "app:app"]', 'ENTRYPOINT ["/wait.sh"]\nCMD ["corepod", "run"]'),
        (
            "CMD python manage.py migrate && gunicorn app:app",
            'CMD ["sh", "-c", "python manage.py migrate && exec corepod run"]',
        ),
        ('CMD ["ddtrace-run", "gunicorn", "app:app", "-w2"]', 'CMD ["ddtrace-run", "corepod", "run"]'),
    ],
)
def test_commands_of_images(last: str, expected: str) -> None:
    migration = read(f"FROM python\nWORKDIR /a\n{last}\n")
    got = migration.files["the text"].replace('"pid1"', '"run"')
    assert got == f"FROM python\nWORKDIR /a\n{expected}\n".replace('"pid1"', '"run"')
    alone = only(migration).settings.get("workers") == 1
    assert ('"pid1"' in migration.files["the text"]) == (alone and "sh" not in expected.split('"'))


def test_an_entry_script_beside_the_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "entrypoint.sh").write_text(
        "#!/bin/sh\nset -e\nexec gunicorn app:app -b 0.0.0.0:$PORT -w 2\n"
    )
    migration = read_file(tmp_path, "Dockerfile", 'FROM x\nENV PORT 80\nENTRYPOINT ["/entrypoint.sh"]\n')
    assert only(migration).settings["workers"] == 2
    assert migration.files["entrypoint.sh"] == "#!/bin/sh\nset -e\nexec corepod run\n"
    assert migration.files["Dockerfile"].endswith('ENTRYPOINT ["/entrypoint.sh"]\n')


def test_dockerfiles_without_a_server() -> None:
    with pytest.raises(MigrateError, match="neither CMD nor ENTRYPOINT"):
        read("FROM x\nRUN y\n")
    with pytest.raises(MigrateError, match="no gunicorn"):
        read("FROM node\nCMD npm start\n")


ENTRY = """\
#!/bin/bash
set -euo pipefail
WORKERS=${WEB_WORKERS:-4}
: "${BIND:=0.0.0.0:8000}"
# gunicorn old:app
python manage.py migrate --noinput
case "$1" in
  dev) gunicorn shop.wsgi --reload ;;
  *) exec gunicorn shop.wsgi \\
       --workers "$WORKERS" \\
       --bind $BIND ;;
esac
"""


def test_an_entry_script_with_defaults_and_branches() -> None:
    migration = read(ENTRY)
    program = only(migration)
    assert (program.settings["workers"], program.settings["bind"]) == (4, ["0.0.0.0:8000"])
    assert only(read(ENTRY, WEB_WORKERS="2")).settings["workers"] == 2
    start = ENTRY.index("  *) exec")
    assert migration.files["the text"] == f"{ENTRY[:start]}  *) exec corepod run ;;\nesac\n"
    assert any("--reload" in note for note in migration.notes)
    with pytest.raises(MigrateError, match="no line starts"):
        read("#!/bin/sh\necho hello\n")


COMPOSE = """\
services:
  db: {image: "postgres:16"}
  web:
    build: .
    command: sh -c "python manage.py migrate && gunicorn shop.wsgi -b 0.0.0.0:8000 -w $$WORKERS"
    ports: ["80:8000"]
    environment: [WORKERS=4]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/healthz"]}
    stop_grace_period: 10s
    deploy: {resources: {limits: {cpus: "2"}}}
  queue: {build: ., command: celery -A shop worker}
  api: {build: {context: api}}
"""


def test_services_of_compose(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "Dockerfile").write_text('FROM x\nCMD ["uvicorn", "api:app"]\n')
    migration = read_file(tmp_path, "compose.yaml", COMPOSE)
    web, api = migration.programs
    assert (web.name, web.settings["workers"], api.name, api.settings["app"]) == ("web", 4, "api", "api:app")
    assert yaml.safe_load(migration.files["compose.override.yaml"]) == {
        "services": {
            "web": {
                "command": ["sh", "-c", "python manage.py migrate && exec corepod run"],
                "stop_grace_period": "30s",
            },
            "api": {"stop_grace_period": "30s"},
        }
    }
    assert 'CMD ["corepod", "pid1"]' in migration.files["api/Dockerfile"]
    assert (fates(web)["deploy"], fates(web)["healthcheck"], fates(web)["ports"]) == (
        Fate.CHECK,
        Fate.CHECK,
        Fate.MAPPED,
    )
    assert any("the service db stays as it is" in note for note in migration.notes)
    assert any("queue stays as it is (celery)" in note for note in migration.notes)


def test_a_compose_file_without_a_server() -> None:
    with pytest.raises(MigrateError, match="no service starts"):
        read("services:\n  db:\n    image: postgres\n")


KNOWN = """
entrypoint environment env_file ports healthcheck stop_grace_period stop_signal deploy restart init volumes
"""
KEYS = st.sampled_from(KNOWN.split()) | st.from_regex(r"[a-z_]{3,12}", fullmatch=True)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["5s", "1m", "SIGINT", "x", ["a=b"], {"A": "b"}, {"disable": True}, None]
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES))
def test_no_key_of_a_service_is_lost(keys: dict[str, Any]) -> None:
    if isinstance(keys.get("environment"), str):
        del keys["environment"]
    for key in ("command", "cpus"):
        keys.pop(key, None)
    service = {**keys, "command": "gunicorn app:app"}
    migration = read(yaml.safe_dump({"services": {"web": service}}))
    each_once(only(migration), dict.fromkeys(service, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["ENV A=b", "WORKDIR /x", "USER u", "EXPOSE 80", "VOLUME /v", "STOPSIGNAL SIGTERM"])))
def test_no_instruction_is_lost(lines: list[str]) -> None:
    program = only(read("\n".join(["FROM x", *lines, "CMD gunicorn app:app"]) + "\n"))
    names = [line.split()[0] for line in lines]
    each_once(program, {**{name: names.count(name) for name in names}, "CMD": 1})
