# Promises: exchanges a token with the Volcengine SDK for Python, as a pod would that does it by itself, and tells what it got
# as a line of JSON: hashes instead of the secret parts.
import hashlib
import json
import os

from volcenginesdkcore.auth.providers.sts_oidc_provider import StsOidcCredentialProvider

provider = StsOidcCredentialProvider(
    role_trn=os.environ["EXCHANGE_ROLE"],
    oidc_token_file=os.environ["EXCHANGE_TOKEN_FILE"],
    session_name="shop.orders.orders",
    policy=os.environ.get("EXCHANGE_POLICY"),
    scheme="http",
    host=os.environ["EXCHANGE_HOST"],
    max_retries=1,
)
try:
    provider.refresh()
    credentials = provider.credentials
    answer = {
        "ok": True,
        "accessKeyID": credentials.ak,
        "secrets": [hashlib.sha256(part.encode()).hexdigest() for part in (credentials.sk, credentials.session_token)],
        "expirationSeconds": provider.expired_time,
    }
except Exception as error:  # Whatever the SDK says is the answer.
    answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
print(json.dumps(answer), flush=True)
