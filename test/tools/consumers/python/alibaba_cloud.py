# Promises: a program with Alibaba Cloud's credentials for Python in their default set-up, and the STS client. "new" makes a
# client, "call" calls GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import json
import os
import sys

from alibabacloud_credentials.client import Client as CredentialsClient
from alibabacloud_sts20150401.client import Client as STSClient
from alibabacloud_tea_openapi.utils_models import Config


def new_client():
    endpoint = os.environ["CONSUMER_ENDPOINT"].removeprefix("http://")
    return STSClient(Config(credential=CredentialsClient(), endpoint=endpoint, protocol="HTTP"))


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
