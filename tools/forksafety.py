"""Which libraries may be imported by a process that forks workers: the table of docs/fork-safety.md, measured.

    python -m tools.forksafety [NAME …]

prints a row for each library that is installed: whether its import, or an object that applications often make beside
it, starts a thread or leaves a descriptor open, and whether a process that is forked afterwards can use the library.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from corepod.contract.env import WORKER_ENV

PATIENCE = 120  # seconds for a row; a child that hangs has made the import unsafe
# As pinned workers have it. With more, numpy's import alone starts threads.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
APP = Path(__file__).parents[1] / "app"

# Where more than one distribution has modules in the package.
DISTRIBUTIONS = {"opentelemetry.sdk": "opentelemetry-sdk", "google.cloud.pubsub_v1": "google-cloud-pubsub"}

PROBE = """
import json, os, signal, sys, time
sys.path[0:0] = [sys.argv[1]]
import corepod.worker.bootstrap
from corepod.worker import forkable
before = forkable.open_fds()
exec(sys.argv[2])
why = forkable.why_not_forkable(before)
child = None
if not why and sys.argv[3]:
    if (pid := os.fork()) == 0:
        signal.alarm(90)
        code = 1
        try:
            exec(sys.argv[3])
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    child = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("RESULT " + json.dumps([why, child]))
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Case:
    """`does` is what the application has at module level, `uses` what a forked worker does with it. `package` is the
    name that is imported, `remedy` what makes it forkable."""

    package: str
    does: str
    uses: str = ""
    remedy: str = ""

    @property
    def library(self) -> str:
        """Name and version of what is installed."""
        if self.package in sys.stdlib_module_names:
            return f"Python {sys.version_info.major}.{sys.version_info.minor}"
        name = DISTRIBUTIONS.get(self.package) or importlib.metadata.packages_distributions()[self.package][0]
        return f"{name} {importlib.metadata.version(name)}"


@dataclass(frozen=True)
class Result:
    """`why` it may not be forked, empty where it may; `child` is the exit code of a fork that used it."""

    why: str
    child: int | None

    @property
    def forked(self) -> bool:
        return not self.why and not self.child


CASES = [
    Case("numpy", "import numpy", "numpy.ones((300, 300)) @ numpy.ones((300, 300))"),
    Case("scipy", "import scipy.linalg, numpy", "scipy.linalg.inv(numpy.eye(100))"),
    Case("pandas", "import pandas", "pandas.DataFrame({'a': [1, 2]}).groupby('a').sum()"),
    Case("pyarrow", "import pyarrow.compute, pyarrow.dataset", "pyarrow.compute.sum(pyarrow.array(range(10**6)))"),
    Case("polars", "import polars"),
    Case("duckdb", "import duckdb", "duckdb.sql('select sum(range) from range(100000)').fetchall()"),
    Case("duckdb", "import duckdb; connection = duckdb.connect()"),
    Case("numba", "import numba; f = numba.njit(lambda x: x + 1); f(1)", "f(2); numba.njit(lambda x: x * 2)(1.0)"),
    Case(
        "sklearn",
        "import sklearn.linear_model as m, numpy",
        "m.LinearRegression().fit(numpy.eye(50), numpy.ones(50)).predict(numpy.eye(50))",
    ),
    Case(
        "lightgbm",
        "import lightgbm, numpy",
        "lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(numpy.eye(50), numpy.ones(50))",
    ),
    Case("xgboost", "import xgboost, numpy", "xgboost.XGBRegressor(n_estimators=2).fit(numpy.eye(50), numpy.ones(50))"),
    Case(
        "faiss",
        "import faiss, numpy",
        "i = faiss.IndexFlatL2(8); i.add(numpy.eye(8, dtype='float32')); i.search(numpy.eye(8, dtype='float32'), 1)",
    ),
    Case("cv2", "import cv2, numpy", "cv2.GaussianBlur(numpy.zeros((500, 500), 'uint8'), (5, 5), 0)"),
    Case(
        "matplotlib",
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as p",
        "p.plot([1, 2]); p.savefig(os.devnull, format='png')",
    ),
    Case("torch", "import torch", "torch.ones(300, 300) @ torch.ones(300, 300)"),
    Case(
        "torch",
        "import torch; torch.ones(500, 500) @ torch.ones(500, 500)",
        "torch.ones(500, 500) @ torch.ones(500, 500)",
    ),
    Case("tensorflow", "import tensorflow", "tensorflow.reduce_sum(tensorflow.ones((300, 300))).numpy()"),
    Case("tensorflow", "import tensorflow; tensorflow.ones(3)"),
    Case("jax", "import jax", "jax.numpy.ones(3).sum().block_until_ready()"),
    Case("jax", "import jax; jax.numpy.ones(3)"),
    Case("onnxruntime", "import onnxruntime", remedy="; `ORT_DISABLE_TELEMETRY=1` prevents it"),
    Case("tokenizers", "import tokenizers", "tokenizers.Tokenizer(tokenizers.models.BPE()).encode_batch(['a'] * 10)"),
    Case("ray", "import ray"),
    Case("dask", "import dask", "dask.delayed(sum)([1, 2]).compute()"),
    Case("dask", "import dask.dataframe"),
    Case("distributed", "import distributed"),
    Case("pyspark", "import pyspark"),
    Case("lancedb", "import lancedb"),
    Case("chromadb", "import chromadb"),
    Case(
        "grpc",
        "import grpc",
        "c = grpc.insecure_channel('127.0.0.1:9'); f = grpc.channel_ready_future(c); f.done(); "
        "assert c._channel.check_connectivity_state(True) is not None",
    ),
    Case("grpc", "import grpc; channel = grpc.insecure_channel('127.0.0.1:9')"),
    Case("google.cloud.pubsub_v1", "import google.cloud.pubsub_v1, google.cloud.storage"),
    Case("psycopg", "import psycopg"),
    Case("psycopg_pool", "import psycopg_pool as p; pool = p.ConnectionPool('host=127.0.0.1 port=9', open=False)"),
    Case("psycopg_pool", "import psycopg_pool as p; pool = p.ConnectionPool('host=127.0.0.1 port=9', open=True)"),
    Case("psycopg2", "import psycopg2"),
    Case("asyncpg", "import asyncpg"),
    Case("pymongo", "import pymongo; client = pymongo.MongoClient('127.0.0.1:9', connect=False)"),
    Case("pymongo", "import pymongo; client = pymongo.MongoClient('127.0.0.1:9')"),
    Case("motor", "import motor.motor_asyncio as m; client = m.AsyncIOMotorClient('127.0.0.1:9')"),
    Case("redis", "import redis; client = redis.Redis(port=9)"),
    Case("pymysql", "import pymysql"),
    Case("cassandra", "import cassandra.cluster"),
    Case("confluent_kafka", "import confluent_kafka", "confluent_kafka.Producer({'bootstrap.servers': '127.0.0.1:9'})"),
    Case("confluent_kafka", "import confluent_kafka as k; producer = k.Producer({'bootstrap.servers': '127.0.0.1:9'})"),
    Case("kafka", "import kafka"),
    Case("aiokafka", "import aiokafka"),
    Case("zmq", "import zmq", "zmq.Context().socket(zmq.PUB)"),
    Case("zmq", "import zmq; socket = zmq.Context().socket(zmq.PUB)"),
    Case("sqlalchemy", "import sqlalchemy; engine = sqlalchemy.create_engine('sqlite:///shop.db')"),
    Case("sqlalchemy", "import sqlalchemy as s; s.create_engine('sqlite:///shop.db').connect()"),
    Case(
        "boto3",
        "import boto3; c = boto3.client('s3', 'eu-central-1', aws_access_key_id='k', aws_secret_access_key='s')",
    ),
    Case("httpx", "import httpx; client = httpx.Client()"),
    Case("requests", "import requests; session = requests.Session()"),
    Case(
        "sentry_sdk",
        "import sentry_sdk; sentry_sdk.init('http://key@127.0.0.1:9/1')",
        "sentry_sdk.capture_message('x')",
    ),
    Case(
        "sentry_sdk", "import sentry_sdk; sentry_sdk.init('http://key@127.0.0.1:9/1'); sentry_sdk.capture_message('x')"
    ),
    Case("opentelemetry.sdk", "import opentelemetry.sdk.trace"),
    Case(
        "opentelemetry.sdk",
        "import opentelemetry.sdk.trace as t, opentelemetry.sdk.trace.export as e; "
        "t.TracerProvider().add_span_processor(e.BatchSpanProcessor(e.ConsoleSpanExporter()))",
    ),
    Case(
        "opentelemetry.sdk",
        "import opentelemetry.sdk.metrics as m, opentelemetry.sdk.metrics.export as e; "
        "provider = m.MeterProvider([e.PeriodicExportingMetricReader(e.ConsoleMetricExporter())])",
    ),
    Case("ddtrace", "import ddtrace"),
    Case(
        "elasticapm", "import elasticapm; client = elasticapm.Client(service_name='x', server_url='http://127.0.0.1:9')"
    ),
    Case("newrelic", "import newrelic.agent; newrelic.agent.initialize()"),
    Case("posthog", "import posthog"),
    Case("prometheus_client", "import prometheus_client; c = prometheus_client.Counter('c', 'c')", "c.inc()"),
    Case("gevent", "import gevent"),
    Case("gevent", "import gevent.monkey; gevent.monkey.patch_all()"),
    Case("eventlet", "import eventlet"),
    Case("eventlet", "import eventlet; eventlet.monkey_patch()"),
    Case("uvloop", "import uvloop", "uvloop.new_event_loop().close()"),
    Case("celery", "import celery; app = celery.Celery(broker='redis://127.0.0.1:9')"),
    Case("apscheduler", "import apscheduler.schedulers.background as b; s = b.BackgroundScheduler()"),
    Case("apscheduler", "import apscheduler.schedulers.background as b; b.BackgroundScheduler().start()"),
    Case("watchfiles", "import watchfiles"),
    Case("watchdog", "import watchdog.observers as o; o.Observer().start()"),
    Case("loguru", "from loguru import logger; logger.add('app.log')", "logger.info('x')"),
    Case("loguru", "from loguru import logger; logger.add('app.log', enqueue=True)"),
    Case("structlog", "import structlog"),
    Case("django", "import django"),
    Case("flask", "import flask"),
    Case("fastapi", "import fastapi"),
    Case("gradio", "import gradio"),
    Case("gradio", "import gradio; demo = gradio.Interface(str, 'text', 'text')"),
    Case("nicegui", "import nicegui"),
    Case("datasette", "import datasette.app; app = datasette.app.Datasette().app()"),
    Case("radicale", "import radicale; app = radicale.application"),
    Case("asyncio", "import asyncio; loop = asyncio.new_event_loop()"),
    Case(
        "concurrent",
        "import concurrent.futures as c; c.ThreadPoolExecutor()",
        "c.ThreadPoolExecutor().submit(int).result()",
    ),
    Case("concurrent", "import concurrent.futures as c; pool = c.ThreadPoolExecutor(); pool.submit(int).result()"),
    Case("multiprocessing", "import multiprocessing; queue = multiprocessing.Queue()"),
]


def try_out(case: Case) -> Result:
    """Run the case in an interpreter of its own, with the variables that workers have."""
    folder = tempfile.TemporaryDirectory(prefix="forksafety-")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROBE, str(APP), case.does, case.uses],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=folder.name,
            env={**ONE_THREAD, **WORKER_ENV, **os.environ},
        )
    except subprocess.TimeoutExpired:
        return Result(f"it wasn't finished after {PATIENCE} s", None)
    finally:
        folder.cleanup()
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return Result(*json.loads(line[7:]))
    return Result(f"it failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}", None)


def installed(case: Case) -> bool:
    try:
        return importlib.util.find_spec(case.package) is not None
    except ModuleNotFoundError:  # of a namespace
        return False


def row(case: Case, result: Result) -> str:
    """A row of the table: the library, what the application does, whether it is forked, and why not."""
    if result.why:
        how = re.sub(r"/tmp/forksafety-\w+/", "", result.why.removeprefix("the application's import "))
    elif result.child:
        how = f"a fork that uses it ends with {result.child}"
    else:
        how = ""
    return f"| {case.library} | `{case.does}` | {'yes' if result.forked else 'no'} | {how}{case.remedy} |"


def main(names: list[str]) -> None:
    """Print the table of the libraries named, or of all."""
    print("| library | what the application does at module level | forked | what is in the way |\n|---|---|---|---|")
    for case in CASES:
        if installed(case) and (not names or case.package in names):
            print(row(case, try_out(case)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
