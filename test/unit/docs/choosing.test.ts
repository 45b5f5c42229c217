// Promises: the recipes of docs/choosing.md are pods that hang together: the token has the cloud's own audience, is where the
// variable says, and is mounted as a directory; variables are those that the vendors' libraries read. One of them is tried.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { load } from 'js-yaml';
import { startSandbox } from '../../../sandbox/sandbox.ts';
import { OWN_AUDIENCES } from '../../../src/providers/endpoints.ts';
import { codeBlocks, ROOT, textOf } from './markdown.ts';

interface Pod {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly {
      readonly image: string;
      readonly env: readonly { readonly name: string; readonly value: string }[];
      readonly volumeMounts: readonly {
        readonly name: string;
        readonly mountPath: string;
        readonly subPath?: string;
        readonly readOnly: boolean;
      }[];
    }[];
    readonly volumes: readonly {
      readonly name: string;
      readonly projected: {
        readonly sources: readonly {
          readonly serviceAccountToken: {
            readonly path: string;
            readonly audience: string;
            readonly expirationSeconds: number;
          };
        }[];
      };
    }[];
  };
}

const PODS = codeBlocks({ path: 'docs/choosing.md', text: textOf('docs/choosing.md') })
  .filter(({ language }) => language === 'yaml')
  .map(({ text }) => load(text) as Pod);

const RECIPES = [
  ['AWS', 'AWS_WEB_IDENTITY_TOKEN_FILE', /^arn:aws:iam::\d{12}:role\/orders$/],
  ['AlibabaCloud', 'ALIBABA_CLOUD_OIDC_TOKEN_FILE', /^acs:ram::\d{16}:role\/orders$/],
  ['Volcengine', 'VOLCENGINE_OIDC_TOKEN_FILE', /^trn:iam::\d{10}:role\/orders$/],
] as const;

function podOf(cloud: (typeof RECIPES)[number][0]): Pod {
  const index = RECIPES.findIndex(([name]) => name === cloud);
  return PODS[index] ?? assert.fail(`no recipe for ${cloud}`);
}

function environmentOf({ spec }: Pod): Readonly<Record<string, string>> {
  return Object.fromEntries(spec.containers[0]?.env.map(({ name, value }) => [name, value]) ?? []);
}

test('there is one recipe for each cloud', () => {
  assert.deepEqual(
    PODS.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`),
    ['v1 Pod', 'v1 Pod', 'v1 Pod'],
  );
});

for (const [cloud, tokenVariable, role] of RECIPES) {
  test(`${cloud}: the token is where the variable says, for the cloud's own audience`, () => {
    const { metadata, spec } = podOf(cloud);
    const [container = assert.fail('a container')] = spec.containers;
    const [mount = assert.fail('a mount')] = container.volumeMounts;
    const volume = spec.volumes.find(({ name }) => name === mount.name) ?? assert.fail('the volume of the mount');
    const [source = assert.fail('a token')] = volume.projected.sources;
    const { path, audience, expirationSeconds } = source.serviceAccountToken;
    assert.equal(environmentOf(podOf(cloud))[tokenVariable], join(mount.mountPath, path));
    assert.ok(OWN_AUDIENCES[cloud].includes(audience), audience);
    // The API server's own bounds: https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
    assert.ok(expirationSeconds >= 600 && expirationSeconds <= 86_400);
    assert.equal(mount.readOnly, true);
    assert.equal(mount.subPath, undefined);
    assert.equal(metadata.namespace, 'shop');
    assert.equal(spec.serviceAccountName, 'orders');
    assert.ok(Object.values(environmentOf(podOf(cloud))).some((value) => role.test(value)));
    for (const value of Object.values(environmentOf(podOf(cloud)))) assert.equal(typeof value, 'string');
  });
}

test("Alibaba Cloud: the variables are those that the vendor's library for Node.js reads", async () => {
  const fromSTS = createRequire(createRequire(import.meta.url).resolve('@alicloud/sts20150401'));
  const fromCore = createRequire(fromSTS.resolve('@alicloud/openapi-core'));
  const source = await readFile(
    join(dirname(fromCore.resolve('@alicloud/credentials')), 'providers', 'oidc_role_arn.js'),
    'utf8',
  );
  for (const name of Object.keys(environmentOf(podOf('AlibabaCloud')))) assert.ok(source.includes(name), name);
});

describe('AWS, tried', () => {
  const program = `
    import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
    process.stdout.write((await new STSClient().send(new GetCallerIdentityCommand())).Arn);`;

  test('the SDK takes the role with what the recipe sets, and STS accepts what it has then', async () => {
    const pod = podOf('AWS');
    const { AWS_WEB_IDENTITY_TOKEN_FILE: file = '', ...environment } = environmentOf(pod);
    const { namespace } = pod.metadata;
    const name = pod.spec.serviceAccountName;
    const { audience } = pod.spec.volumes[0]?.projected.sources[0]?.serviceAccountToken ?? assert.fail('a token');
    const directory = await mkdtemp(join(tmpdir(), 'choosing-'));
    const sandbox = await startSandbox();
    try {
      await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
      const subject = `system:serviceaccount:${namespace}:${name}`;
      sandbox.aws.addRole({ arn: environment['AWS_ROLE_ARN'] ?? '', subject });
      const token = join(directory, file.split('/').at(-1) ?? '');
      await writeFile(token, await sandbox.mintToken(namespace, name, { audiences: [audience] }), { mode: 0o400 });
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
        cwd: ROOT,
        timeout: 60_000,
        env: {
          ...environment,
          HOME: directory,
          AWS_WEB_IDENTITY_TOKEN_FILE: token,
          AWS_ENDPOINT_URL_STS: sandbox.aws.url.origin,
          AWS_EC2_METADATA_DISABLED: 'true',
        },
      });
      assert.equal(stdout, 'arn:aws:sts::123456789012:assumed-role/orders/shop.orders');
    } finally {
      await sandbox.stop();
      await rm(directory, { recursive: true });
    }
  });
});
