"""SQLAlchemy whose engine has a connection since the import: forked workers would share it."""

from __future__ import annotations

import os
import tempfile

from ok import answer
from sqlalchemy import create_engine, text

file = os.path.join(tempfile.mkdtemp(), "shop.db")
engine = create_engine(f"sqlite:///{file}")
connection = engine.connect()
connection.execute(text("create table visits (pid integer)"))
connection.commit()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    connection.execute(text("insert into visits values (:pid)"), {"pid": os.getpid()})
    connection.commit()
    visits = connection.execute(text("select count(*) from visits")).scalar()
    await answer(send, {"pid": os.getpid(), "visits": visits, "file": file})
