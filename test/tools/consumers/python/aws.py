# Promises: a program with boto3 in its default set-up. "new" makes a session and a client, "call" calls GetCallerIdentity
# with it; each is answered by a line of JSON. It prints no credential.
import json
import os
import sys

import boto3
from botocore.config import Config


def new_client():
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    return boto3.Session().client("sts", endpoint_url=os.environ["CONSUMER_ENDPOINT"], config=config)


client = None
for line in sys.stdin:
    try:
        if line.strip() == "new":
            client = new_client()
        else:
            client.get_caller_identity()
        answer = {"ok": True}
    except Exception as error:  # Whatever the SDK says is the answer.
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
