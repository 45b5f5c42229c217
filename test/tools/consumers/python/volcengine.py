# Promises: a program with the Volcengine SDK for Python and its default credential chain. "new" makes a client, "call" calls
# GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import json
import os
import sys

import volcenginesdkcore
import volcenginesdksts
from volcenginesdkcore.auth.providers.default_provider import DefaultCredentialProvider
from volcenginesdksts.models import GetCallerIdentityRequest


def new_client():
    configuration = volcenginesdkcore.Configuration()
    configuration.credential_provider = DefaultCredentialProvider()
    configuration.region = "cn-beijing"
    configuration.scheme = "http"
    configuration.host = os.environ["CONSUMER_ENDPOINT"].removeprefix("http://")
    configuration.auto_retry = False
    return volcenginesdksts.STSApi(volcenginesdkcore.ApiClient(configuration))


client = None
for line in sys.stdin:
    try:
        if line.strip() == "new":
            client = new_client()
        else:
            client.get_caller_identity(GetCallerIdentityRequest())
        answer = {"ok": True}
    except Exception as error:  # Whatever the SDK says is the answer.
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
