"""boto3 with a client made at import, which signs an address without a connection."""

from __future__ import annotations

import os

import boto3
from ok import answer

client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="key", aws_secret_access_key="secret")


async def app(scope, receive, send):
    assert scope["type"] == "http"
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    await answer(send, {"pid": os.getpid(), "url": url})
