// Promises: every WorkloadCredential that the samples and pages show is one that the API server's schema and the operator
// take; the Secret that a sample's pod mounts is the one that its WorkloadCredential makes.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { load, loadAll } from 'js-yaml';
import { API_VERSION, ANNOTATION_ALLOW, KIND } from '../../../src/api/names.ts';
import { resolve, secretNameOf } from '../../../src/api/resolve.ts';
import { deliveredRole, firstRole, type ResolvedCredential } from '../../../src/api/resolved.ts';
import type { WorkloadCredential } from '../../../src/api/types.gen.ts';
import { consents } from '../../../src/credential/checks.ts';
import { type CRDSchema, readCRD, servedVersion } from '../../../tools/crd-file.ts';
import { codeBlocks, pages, ROOT, textOf } from './markdown.ts';

const schema = servedVersion(readCRD(ROOT)).schema.openAPIV3Schema;

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
  };
}

/** What a structural schema would refuse or prune: required fields, unknown fields, enums, and kinds of values. */
function findings(path: string, node: CRDSchema, value: unknown): string[] {
  if (node.enum !== undefined && !node.enum.includes(value as never)) return [`${path} is none of its values`];
  if (node.type === 'array') {
    if (!Array.isArray(value)) return [`${path} is no list`];
    const { items } = node;
    return items === undefined ? [] : value.flatMap((item, index) => findings(`${path}[${index}]`, items, item));
  }
  if (node.type !== 'object') {
    const kind = node.type === 'integer' ? 'number' : node.type;
    return typeof value === kind ? [] : [`${path} is no ${node.type}`];
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`];
  const { properties, required = [] } = node;
  const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${path}.${name} is missing`);
  if (properties === undefined) return missing;
  return [
    ...missing,
    ...Object.entries(value).flatMap(([name, member]) => memberFindings(path, properties, name, member)),
  ];
}

function memberFindings(
  path: string,
  properties: NonNullable<CRDSchema['properties']>,
  name: string,
  member: unknown,
): string[] {
  const node = properties[name];
  return node === undefined ? [`${path}.${name} is unknown`] : findings(`${path}.${name}`, node, member);
}

const samples = readdirSync(new URL('deploy/samples/', ROOT)).map((name) => ({
  path: `deploy/samples/${name}`,
  manifests: loadAll(textOf(`deploy/samples/${name}`)) as Manifest[],
}));
const shown = pages().flatMap((page) =>
  codeBlocks(page)
    .filter(({ language }) => language === 'yaml')
    .map(({ text }) => ({ path: page.path, manifests: [load(text) as Manifest] })),
);
const credentials = [...samples, ...shown].flatMap(({ path, manifests }) =>
  manifests
    .filter(({ kind }) => kind === KIND)
    .map((manifest) => ({ path, manifest: manifest as WorkloadCredential & Manifest })),
);

describe('WorkloadCredentials in samples and pages', () => {
  test('are there', () => {
    assert.ok(credentials.some(({ path }) => path === 'deploy/samples/aws.yaml'));
    assert.ok(credentials.some(({ path }) => path === 'README.md'));
  });

  test('have the fields that the schema requires and none that it does not know', () => {
    for (const { path, manifest } of credentials) {
      assert.equal(manifest.apiVersion, API_VERSION, path);
      assert.deepEqual(findings('', schema, manifest), [], path);
    }
  });

  test('are taken by the operator', () => {
    for (const { path, manifest } of credentials) {
      assert.deepEqual(resolve(manifest, ['app.kubernetes.io']).violation, undefined, path);
    }
  });

  test('would be found with a missing, an unknown or a misspelt value', () => {
    const spec = { aws: { roleARN: 1, endpointType: 'Fips', typo: '' } };
    assert.deepEqual(findings('', schema, { metadata: { name: 'x' }, spec }), [
      '.spec.serviceAccountName is missing',
      '.spec.aws.region is missing',
      '.spec.aws.roleARN is no string',
      '.spec.aws.endpointType is none of its values',
      '.spec.aws.typo is unknown',
    ]);
  });
});

describe('samples', () => {
  test('have a ServiceAccount that consents to each of their WorkloadCredentials', () => {
    for (const { path, manifests } of samples) {
      for (const { metadata, spec } of manifests.filter(({ kind }) => kind === KIND) as (WorkloadCredential &
        Manifest)[]) {
        const account = manifests.find(
          (manifest) => manifest.kind === 'ServiceAccount' && manifest.metadata.name === spec.serviceAccountName,
        );
        assert.equal(account?.metadata.namespace, metadata.namespace, path);
        assert.ok(consents(account?.metadata.annotations?.[ANNOTATION_ALLOW]).includes(metadata.name), path);
      }
    }
  });

  test('make no namespace, so that deleting them deletes nothing else, and say that they need one', () => {
    for (const { path, manifests } of samples) {
      for (const { kind, metadata } of manifests) assert.equal(metadata.namespace, 'shop', `${path}: ${kind}`);
      assert.match(textOf(path), /^# .*kubectl create namespace shop\b/m);
    }
  });

  test('show each cloud plain, pinned to a network, and across accounts', () => {
    const shownBy = (path: string): readonly ResolvedCredential[] =>
      samples
        .filter((sample) => sample.path === path)
        .flatMap(({ manifests }) => manifests.filter(({ kind }) => kind === KIND))
        .map((manifest) => resolve(manifest as WorkloadCredential & Manifest, []).resolved)
        .filter((resolved) => resolved !== undefined);
    for (const [name, cloud] of [
      ['aws', 'AWS'],
      ['alibaba-cloud', 'AlibabaCloud'],
      ['volcengine', 'Volcengine'],
    ] as const) {
      const [plain] = shownBy(`deploy/samples/${name}.yaml`);
      assert.deepEqual([plain?.exchange.cloud, plain?.exchange.roleChain.length], [cloud, 0]);
      const [pinned] = shownBy(`deploy/samples/${name}-pinned.yaml`);
      assert.equal(pinned?.exchange.cloud, cloud);
      assert.match(pinned.exchange.sessionPolicy ?? '', /"(aws:SourceVpc|acs:SourceVpc|volc:SourceIp)"/);
      const [across] = shownBy(`deploy/samples/${name}-cross-account.yaml`);
      assert.equal(across?.exchange.cloud, cloud);
      const accounts = [firstRole(across.exchange), deliveredRole(across.exchange)].map(
        (role) => /[0-9]{9,}/.exec(role)?.[0],
      );
      assert.notEqual(accounts[0], accounts[1]);
    }
  });

  test('mount the Secret that their WorkloadCredential makes, where its config points to', () => {
    for (const { path, manifests } of samples) {
      const own = manifests.filter(({ kind }) => kind === KIND) as (WorkloadCredential & Manifest)[];
      const text = JSON.stringify(manifests.find(({ kind }) => kind === 'Deployment'));
      for (const credential of own) {
        const { resolved } = resolve(credential, []);
        assert.ok(text.includes(`"secretName":"${secretNameOf(credential)}"`), path);
        assert.ok(text.includes(`"mountPath":"${resolved?.secret.mountPath ?? ''}"`), path);
      }
    }
  });
});
