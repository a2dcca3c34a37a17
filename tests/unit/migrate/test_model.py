from __future__ import annotations

import tomllib

import pytest
from corepod.migrate.model import Fate, Item, Program, quoted, toml_value
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.integers(0, 10**6).map(lambda n: n / 4),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.one_of(VALUES, st.lists(VALUES, max_size=4)))
def test_values_are_those_that_toml_reads(value: object) -> None:
    assert tomllib.loads(f"key = {toml_value(value)}")["key"] == value


def test_a_string_has_escapes_for_what_toml_forbids() -> None:
    assert quoted('a"\x7f\n') == '"a\\"\\u007f\\n"'


def test_what_becomes_of_settings() -> None:
    program = Program("shop", "gunicorn")
    program.use("workers", "5", "workers", "auto", "2 * cores + 1")
    program.use("worker_class", "gevent", "wsgi_threads", 100, "nothing relies on monkey patching", check=True)
    program.drop("worker_tmp_dir", "/dev/shm", "workers write their heartbeat into shared memory")
    assert program.covered
    program.ask("statsd_host", "localhost:8125", "Prometheus reads metrics")
    assert not program.covered
    assert program.settings == {"workers": "auto", "wsgi_threads": 100}
    assert program.of(Fate.CHECK) == [
        Item(Fate.CHECK, "worker_class", "gevent", "wsgi_threads = 100", "nothing relies on monkey patching")
    ]


def test_a_value_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        Program("shop", "gunicorn").use("threads", "many", "wsgi_threads", "many")
