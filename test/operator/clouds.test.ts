// Promises: a WorkloadCredential of each cloud becomes a Secret whose credentials that cloud's STS takes, as its own SDK signs
// them, is refreshed before its end, and is told about in the same words, metrics and audit line. Nothing secret is said.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { $OpenApiUtil } from '@alicloud/openapi-core';
import AlibabaSDK from '@alicloud/sts20150401';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import type { RunningService } from '../../sandbox/sandbox.ts';
import type { WorkloadCredentialSpec } from '../../src/api/types.gen.ts';
import { SecretText } from '../../src/credential/credentials.ts';
import { formatTime } from '../../src/credential/record.ts';
import { signVolcengine } from '../../src/providers/volcengine-signature.ts';
import { scanForSecrets } from '../beds/canary.ts';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

/** What a consumer's environment holds: access key id, secret access key, session token. */
type Keys = readonly [string, string, string];

interface CloudScene {
  readonly cloud: 'AWS' | 'AlibabaCloud' | 'Volcengine';
  readonly service: (bed: OperatorBed) => RunningService;
  readonly role: (account: string, name: string) => string;
  readonly spec: (bed: OperatorBed, role: string, roleChain?: object[]) => Partial<WorkloadCredentialSpec>;
  readonly variables: Keys;
  /** The ARN or TRN that STS says the keys belong to. */
  readonly whoAmI: (service: RunningService, keys: Keys, nowMs: number) => Promise<string>;
}

const audienceOf = (service: RunningService): string => service.endpointOption.split('=').at(-1) ?? '';

const CLOUDS: readonly CloudScene[] = [
  {
    cloud: 'AWS',
    service: (bed) => bed.sandbox.aws,
    role: (account, name) => `arn:aws:iam::${account.padStart(12, '0')}:role/${name}`,
    spec: ({ sandbox: { aws } }, roleARN, roleChain) => ({
      aws: { roleARN, region: 'eu-west-1', endpoint: aws.url.origin, audience: audienceOf(aws), ...chain(roleChain) },
    }),
    variables: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
    whoAmI: async ({ url }, [accessKeyId, secretAccessKey, sessionToken], nowMs) => {
      const credentials = { accessKeyId, secretAccessKey, sessionToken };
      const systemClockOffset = nowMs - Date.now();
      const options = { endpoint: url.href, region: 'eu-west-1', maxAttempts: 1, credentials, systemClockOffset };
      return (await new STSClient(options).send(new GetCallerIdentityCommand({}))).Arn ?? '';
    },
  },
  {
    cloud: 'AlibabaCloud',
    service: (bed) => bed.sandbox.alibabaCloud,
    role: (account, name) => `acs:ram::${account}:role/${name}`,
    spec: ({ sandbox: { alibabaCloud } }, roleARN, roleChain) => ({
      alibabaCloud: {
        roleARN,
        oidcProviderARN: alibabaCloud.service.providerARN(roleARN.split(':')[3] ?? ''),
        region: 'cn-hangzhou',
        endpoint: alibabaCloud.url.origin,
        audience: audienceOf(alibabaCloud),
        ...chain(roleChain),
      },
    }),
    variables: ['ALIBABA_CLOUD_ACCESS_KEY_ID', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET', 'ALIBABA_CLOUD_SECURITY_TOKEN'],
    whoAmI: async ({ url }, [accessKeyId, accessKeySecret, securityToken], nowMs) => {
      const keys = { accessKeyId, accessKeySecret, securityToken };
      // The bed's clock runs ahead of the SDK's.
      const headers = { 'x-acs-date': formatTime(nowMs) };
      const globalParameters = new $OpenApiUtil.GlobalParameters({ headers });
      const config = new $OpenApiUtil.Config({ endpoint: url.host, protocol: 'HTTP', globalParameters, ...keys });
      return (await new AlibabaSDK.default(config as never).getCallerIdentity()).body?.arn ?? '';
    },
  },
  {
    cloud: 'Volcengine',
    service: (bed) => bed.sandbox.volcengine,
    role: (account, name) => `trn:iam::${account}:role/${name}`,
    spec: ({ sandbox: { volcengine } }, roleTRN, roleChain) => ({
      volcengine: {
        roleTRN,
        region: 'cn-beijing',
        endpoint: volcengine.url.origin,
        audience: audienceOf(volcengine),
        ...chain(roleChain, 'roleTRN'),
      },
    }),
    variables: ['VOLCENGINE_ACCESS_KEY', 'VOLCENGINE_SECRET_KEY', 'VOLCENGINE_SESSION_TOKEN'],
    // No SDK of Volcengine's on npm takes a session token at a host of one's choice.
    whoAmI: async ({ url }, [accessKeyID, secretKey, sessionToken], timeMs) => {
      const query = { Action: 'GetCallerIdentity', Version: '2018-01-01' };
      const { path, headers } = signVolcengine(
        { host: url.host, region: 'cn-beijing', query, timeMs },
        { accessKeyID, secretAccessKey: new SecretText(secretKey), sessionToken: new SecretText(sessionToken) },
      );
      const answer = (await (await fetch(new URL(path, url), { headers })).json()) as { Result: { Trn: string } };
      return answer.Result.Trn;
    },
  },
];

/** A chain in the field of a cloud. */
function chain(hops: readonly object[] = [], field: 'roleARN' | 'roleTRN' = 'roleARN') {
  const roles = hops as readonly { readonly role: string }[];
  return roles.length === 0 ? {} : ({ roleChain: roles.map(({ role }) => ({ [field]: role })) } as never);
}

describe('the three clouds', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let running: RunningOperator;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 1_200 });
    const others = [bed.sandbox.alibabaCloud, bed.sandbox.volcengine];
    running = await bed.start({ flags: others.map(({ endpointOption }) => `--sts-endpoint=${endpointOption}`) });
  });
  after(async () => {
    await bed.stop();
  });

  for (const { cloud, service, role, spec, variables, whoAmI } of CLOUDS) {
    const keysIn = (scene: Scene): Keys => {
      const [id, key, token] = variables.map((name) => scene.value(name));
      return [id ?? '', key ?? '', token ?? ''];
    };
    const subjectOf = (scene: Scene): string => `system:serviceaccount:${scene.namespace}:orders`;
    const callsOf = (scene: Scene) =>
      service(bed).calls.filter(({ sessionName }) => sessionName.startsWith(`${scene.namespace}.`));
    const formats = ['Files', 'Environment'] as NonNullable<WorkloadCredentialSpec['secret']>['formats'] & object;

    test(`${cloud}: the Secret's credentials are taken by STS, and are refreshed before their end`, async () => {
      const scene = await bed.scene();
      const arn = role('2100000001', `orders-${scene.namespace}`);
      service(bed).addRole({ arn, subject: subjectOf(scene) });
      await scene.apply({ ...spec(bed, arn), secret: { formats } });
      await scene.ready();
      const { status } = scene.credential() ?? {};
      assert.equal(status?.cloud, cloud);
      assert.equal(status?.role, arn);
      const first = keysIn(scene);
      assert.equal(status?.accessKeyID, first[0]);
      const identity = await whoAmI(service(bed), first, bed.clock.now());
      assert.ok(identity.endsWith(`/orders-${scene.namespace}/${scene.namespace}.orders.orders`), identity);
      assert.equal(callsOf(scene).length, 1);

      const endMs = Date.parse(status?.expirationTime ?? '');
      await bed.skipTo(scene.refreshTimeMs() - 200);
      await bed.until('the refresh', () => scene.credential()?.status?.accessKeyID !== first[0]);
      assert.ok(bed.clock.now() < endMs, 'it was replaced before its end');
      await scene.quiet();
      const second = keysIn(scene);
      assert.notEqual(second[0], first[0]);
      assert.equal(callsOf(scene).length, 2);
      assert.deepEqual(scene.events(), ['Normal Issued']);
    });

    test(`${cloud}: a chain delivers the last role, and its refusal names the hop`, async () => {
      const scene = await bed.scene();
      const roles = ['first', 'middle', 'last'].map((name, index) =>
        role(`210000000${index + 1}`, `${name}-${scene.namespace}`),
      );
      const [first = '', middle = '', last = ''] = roles;
      service(bed).addRole({ arn: first, subject: subjectOf(scene) });
      service(bed).addRole({ arn: middle, trustedRole: first });
      await scene.apply({ ...spec(bed, first, [{ role: middle }, { role: last }]), secret: { formats } });
      const { message } = await scene.until('Ready', cloud === 'AlibabaCloud' ? 'RequestRejected' : 'AccessDenied');
      assert.match(message, /Hop 3 of 3 \(spec\.\w+\.roleChain\[1\]\)/);
      assert.equal(scene.secret(), undefined);

      service(bed).addRole({ arn: last, trustedRole: middle });
      await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'now' });
      await scene.ready();
      assert.equal(scene.credential()?.status?.role, last);
      const identity = await whoAmI(service(bed), keysIn(scene), bed.clock.now());
      assert.ok(identity.includes(`/last-${scene.namespace}/`), identity);
      const issued = service(bed).issued.filter(({ sessionName }) => sessionName.startsWith(`${scene.namespace}.`));
      assert.deepEqual(
        issued.map(({ roleARN }) => roleARN),
        [first, middle, first, middle, last],
      );
    });

    test(`${cloud}: metrics count its calls by its name`, async () => {
      const { body } = await running.get('/metrics');
      const count = new RegExp(`^workloadcredential_sts_requests_total\\{cloud="${cloud}",code="OK"\\} (\\d+)$`, 'm');
      assert.ok(Number(count.exec(body)?.[1]) >= 7, body.match(/^workloadcredential_sts_requests.*$/gm)?.join('\n'));
    });
  }

  test('no secret of any cloud, of any hop, is in a log line, a metric, an event, a status or a URL', async () => {
    const { aws, alibabaCloud, volcengine } = bed.sandbox;
    const issued = [aws, alibabaCloud, volcengine].flatMap((service) => service.issued);
    const secrets = issued.flatMap(({ secretAccessKey, sessionToken, webIdentityToken }) =>
      webIdentityToken === '' ? [secretAccessKey, sessionToken] : [secretAccessKey, sessionToken, webIdentityToken],
    );
    const corpora = [...bed.emitted(), { name: 'metrics', text: (await running.get('/metrics')).body }];
    assert.ok(secrets.length >= 50);
    assert.deepEqual(scanForSecrets(corpora, secrets), []);
    // Every corpus says something of what happened.
    for (const { name, text } of corpora) assert.ok(text.length > 500, name);
  });
});
