// Promises: the floor of the exchange benchmark: the same form, POSTed by undici, the answer read and its four parts taken out.
// No judgement of the host, no deadline, no limit, no errors of its own.
import { Pool } from 'undici';
import { serveRuns } from './exchange-runs.ts';
import { DURATION_SECONDS, SESSION_NAME } from './exchange-messages.ts';
import type { CloudName, Target } from './exchange-messages.ts';

/** Path and form of a cloud's request. */
function requestOf({ exchange, token }: Target): { readonly path: string; readonly form: Record<string, string> } {
  const session = { RoleSessionName: SESSION_NAME, DurationSeconds: String(DURATION_SECONDS) };
  switch (exchange.cloud) {
    case 'AWS': {
      const action = { Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15' };
      return { path: '/', form: { ...action, ...session, RoleArn: exchange.roleARN, WebIdentityToken: token } };
    }
    case 'AlibabaCloud': {
      const provider = { RoleArn: exchange.roleARN, OIDCProviderArn: exchange.oidcProviderARN };
      const path = '/?Action=AssumeRoleWithOIDC&Format=json&Version=2015-04-01';
      return { path, form: { ...session, ...provider, OIDCToken: token } };
    }
    case 'Volcengine': {
      const path = '/?Action=AssumeRoleWithOIDC&Version=2018-01-01';
      return { path, form: { ...session, RoleTrn: exchange.roleTRN, OIDCToken: token } };
    }
  }
}

type Credentials = Readonly<Record<string, string | undefined>>;

function element(text: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
}

const READERS: Readonly<Record<CloudName, (text: string) => Credentials>> = {
  AWS: (text) =>
    Object.fromEntries(
      ['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'].map((name) => [name, element(text, name)]),
    ),
  AlibabaCloud: (text) => (JSON.parse(text) as { Credentials: Credentials }).Credentials,
  Volcengine: (text) => (JSON.parse(text) as { Result: { Credentials: Credentials } }).Result.Credentials,
};

serveRuns(({ target, connections }) => {
  const pool = new Pool(target.exchange.endpoint ?? '', { connections });
  const { path, form } = requestOf(target);
  const read = READERS[target.exchange.cloud];
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  return async () => {
    const body = new URLSearchParams(form).toString();
    const answer = await pool.request({ method: 'POST', path, headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`STS: ${answer.statusCode}`);
    if (read(text)['AccessKeyId'] === undefined) throw new Error('no access key id');
  };
});
