// Promises: what can be told of the chart, the plain manifests and the image without Helm and without a cluster: their parts
// agree with each other and with the code. Rendering and installing is tested where Helm is.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { load, loadAll } from 'js-yaml';
import * as names from '../../../src/api/names.ts';
import { parseOptions } from '../../../src/options.ts';
import { OWN_AUDIENCES, parseEndpointOption } from '../../../src/providers/endpoints.ts';
import { CRD_PATH } from '../../../tools/crd-file.ts';
import { RBAC_RULES } from '../../../tools/rbac-rules.ts';
import { chosenPaths } from '../../support/chart-values.ts';

const { ANNOTATION_ALLOW, GROUP } = names;
const ROOT = new URL('../../../', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
}
interface Container {
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly { readonly mountPath: string; readonly subPath?: string }[];
  readonly securityContext?: unknown;
  readonly resources?: { readonly requests?: object; readonly limits?: object };
}
interface PodSpec {
  readonly securityContext: { readonly runAsNonRoot?: boolean; readonly seccompProfile?: object };
  readonly serviceAccountName: string;
  readonly containers: readonly Container[];
  readonly automountServiceAccountToken?: boolean;
  readonly volumes?: readonly {
    readonly secret?: { readonly secretName: string; readonly optional?: boolean };
    readonly projected?: {
      readonly sources: readonly { readonly serviceAccountToken?: { readonly expirationSeconds: number } }[];
    };
  }[];
}
interface Deployment extends Manifest {
  readonly spec: { readonly replicas: number; readonly template: { readonly spec: PodSpec } };
}
interface Role extends Manifest {
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly resourceNames?: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

const manifests = (path: string): Manifest[] => loadAll(text(path)) as Manifest[];

function ofKind<T extends Manifest>(path: string, kind: string): T {
  const found = manifests(path).find((manifest) => manifest.kind === kind);
  assert.ok(found !== undefined, `${path} has no ${kind}`);
  return found as T;
}

function allOfKind<T extends Manifest>(path: string, kind: string): T[] {
  return manifests(path).filter((manifest): manifest is T => manifest.kind === kind);
}

function firstContainer(deployment: Deployment): Container {
  const [container] = deployment.spec.template.spec.containers;
  assert.ok(container !== undefined);
  return container;
}

describe('the copies of the CRD', () => {
  test('in deploy is the same object', () => {
    assert.deepEqual(load(text('deploy/crd.yaml')), load(text(CRD_PATH)));
  });

  test('in the chart differs only by the annotation that keeps it on uninstall', () => {
    const copy = load(text('helm/files/crd.yaml')) as Manifest;
    assert.deepEqual(copy.metadata.annotations, { 'helm.sh/resource-policy': 'keep' });
    const { annotations: _, ...metadata } = copy.metadata;
    assert.deepEqual({ ...copy, metadata }, load(text(CRD_PATH)));
  });

  test('is not rendered as a template: its descriptions have braces of their own', () => {
    assert.match(text('helm/templates/crd.yaml'), /\.Files\.Get "files\/crd\.yaml"/);
    assert.match(text('helm/files/crd.yaml'), /\{\{ accessKeyId \}\}/);
  });
});

describe('RBAC', () => {
  const granted = (kind: string): string[] =>
    ofKind<Role>('deploy/operator.yaml', kind).rules.map(
      (rule) =>
        `${rule.apiGroups.join()}/${rule.resources.join()} ${rule.verbs.join()} ${rule.resourceNames?.join() ?? ''}`,
    );
  const registered = (where: string): string[] =>
    RBAC_RULES.filter((rule) => rule.where === where).map(
      (rule) =>
        `${rule.apiGroup}/${rule.resource} ${rule.verbs.join()} ${rule.leaseNameOnly === true ? 'workload-credentials' : ''}`,
    );

  test('of the plain manifests grants exactly the registered rules', () => {
    assert.deepEqual(granted('ClusterRole'), registered('watched'));
    assert.deepEqual(granted('Role'), registered('own'));
  });

  test('of the chart has no rule beside the registered ones', () => {
    const lines = text('helm/templates/rbac.yaml').split('\n');
    const rules = lines.flatMap((line, index) => (line === 'rules:' ? [lines[index + 1]?.trim()] : []));
    assert.equal(rules.length, 3);
    for (const rule of rules) assert.match(rule ?? '', /include "workload-credentials\.(watched|own)Rules"/);
    const templates = readdirSync(new URL('helm/templates/', ROOT)).filter((name) => name !== '_rules.tpl');
    for (const name of templates) assert.doesNotMatch(text(`helm/templates/${name}`), /verbs:/, name);
  });

  test('has no wildcard, no escalation and no write to what the operator only reads', () => {
    for (const rule of RBAC_RULES) {
      const words = [rule.apiGroup, rule.resource, ...rule.verbs];
      assert.doesNotMatch(words.join(' '), /\*|impersonate|escalate|bind/);
      if (['workloadcredentials', 'serviceaccounts'].includes(rule.resource)) {
        assert.deepEqual(rule.verbs, ['get', 'list', 'watch']);
      }
    }
  });
});

describe("the chart's values", () => {
  const templates = readdirSync(new URL('helm/templates/', ROOT))
    .map((name) => text(`helm/templates/${name}`))
    .join('\n');
  const paths = (value: unknown, path: string): string[] =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
      ? Object.entries(value).flatMap(([key, child]) => paths(child, `${path}.${key}`))
      : [path];
  const values = load(text('helm/values.yaml')) as Record<string, unknown>;
  const leaves = paths(values, '');
  const used = new Set([...templates.matchAll(/\.Values((?:\.\w+)+)/g)].map((match) => match[1] ?? ''));
  const within = (path: string, other: string): boolean => path === other || path.startsWith(`${other}.`);

  test('are each used by a template', () => {
    assert.deepEqual(
      leaves.filter((leaf) => ![...used].some((path) => within(leaf, path))),
      [],
    );
  });

  test('that a template uses each exist with a default', () => {
    assert.deepEqual(
      [...used].filter((path) => !leaves.some((leaf) => within(leaf, path))),
      [],
    );
  });

  test('are each in the schema, and nothing else is but global', () => {
    interface Schema {
      readonly properties?: Record<string, Schema>;
    }
    const keys = (schema: Schema, path: string): string[] =>
      schema.properties === undefined
        ? [path]
        : Object.entries(schema.properties).flatMap(([key, child]) => keys(child, `${path}.${key}`));
    const schema = JSON.parse(text('helm/values.schema.json')) as Schema;
    const known = keys(schema, '').filter((path) => path !== '.global');
    assert.deepEqual(
      leaves.filter((leaf) => !known.some((path) => within(leaf, path))),
      [],
    );
    assert.deepEqual(
      known.filter((path) => !leaves.some((leaf) => within(leaf, path))),
      [],
    );
  });

  test('are each described, and objects take no other key', () => {
    interface Schema {
      readonly type?: string;
      readonly description?: string;
      readonly properties?: Record<string, Schema>;
      readonly additionalProperties?: unknown;
      readonly items?: Schema;
    }
    const problems = (schema: Schema, path: string): string[] => [
      ...(schema.description === undefined ? [`${path} has no description`] : []),
      ...(schema.properties !== undefined && schema.additionalProperties !== false ? [`${path} takes any key`] : []),
      ...Object.entries({ ...schema.properties, ...schema.items?.properties }).flatMap(([key, child]) =>
        problems(child, `${path}.${key}`),
      ),
    ];
    assert.deepEqual(problems(JSON.parse(text('helm/values.schema.json')) as Schema, ''), []);
  });

  interface Bounds {
    readonly minimum?: number;
    readonly maximum?: number;
  }
  type Branch = Bounds & {
    readonly properties: Record<string, Branch>;
    readonly items: Branch;
    readonly pattern: string;
  };
  const schema = JSON.parse(text('helm/values.schema.json')) as Branch;
  const { sts } = schema.properties;

  test('have the bounds that the program has, so that what Helm takes does not end it', () => {
    const flags: Readonly<Record<string, Bounds | undefined>> = {
      workers: schema.properties['workers'],
      'min-refresh-interval-seconds': schema.properties['minRefreshIntervalSeconds'],
      'sts-requests-per-second': sts?.properties['requestsPerSecond'],
      'sts-burst': sts?.properties['burst'],
    };
    const takes = (flag: string, value: number): boolean => parseOptions([`--${flag}=${value}`]).kind === 'run';
    for (const [flag, { minimum = NaN, maximum = NaN } = {}] of Object.entries(flags)) {
      const seen = [minimum / 2, minimum, maximum, maximum + 1].map((value) => takes(flag, value));
      assert.deepEqual(seen, [false, true, true, false], flag);
    }
  });

  test('take the URLs of an STS that the program takes', () => {
    const pattern = new RegExp(sts?.properties['endpoints']?.items.properties['url']?.pattern ?? '(', 'u');
    const urls: readonly (readonly [url: string, isTaken: boolean])[] = [
      ['https://sts.example.com', true],
      ['https://sts.example.com/', true],
      ['https://sts.example.com:8443', true],
      ['https://[2001:db8::1]:8443', true],
      ['http://127.0.0.1:8080', true],
      ['http://127.1.2.3:8080/', true],
      ['http://[::1]:8080', true],
      ['http://127.0.0.1', false],
      ['http://localhost:8080', false],
      ['http://sts.example.com:8080', false],
      ['https://STS.example.com', false],
      ['https://user@sts.example.com', false],
      ['https://sts.example.com/path', false],
      ['https://sts.example.com?query', false],
      ['https://', false],
      ['sts.example.com', false],
    ];
    for (const [url, isTaken] of urls) {
      const isParsed = parseEndpointOption(`AWS=${url}=an-audience`).entry !== undefined;
      assert.deepEqual([pattern.test(url), isParsed], [isTaken, isTaken], url);
    }
  });

  test('have each settings by which a real API server is asked (test/e2e/chart.test.ts)', () => {
    const chosen = [...chosenPaths()].map((path) => `.${path}`);
    assert.deepEqual(
      leaves.filter((leaf) => !chosen.some((path) => within(leaf, path))),
      [],
    );
  });

  test('leave the scope to the user', () => {
    assert.deepEqual([values['namespaces'], values['clusterWide']], [[], false]);
    assert.match(text('helm/templates/rbac.yaml'), /include "workload-credentials.checkScope"/);
  });
});

describe('the fences', () => {
  interface Policy extends Manifest {
    readonly spec: {
      readonly failurePolicy: string;
      readonly matchConditions: readonly { readonly expression: string }[];
      readonly validations: readonly {
        readonly expression: string;
        readonly reason: string;
        readonly message: string;
      }[];
    };
  }
  interface Binding extends Manifest {
    readonly spec: { readonly policyName: string; readonly validationActions: readonly string[] };
  }
  const path = 'deploy/operator.yaml';
  const policies = allOfKind<Policy>(path, 'ValidatingAdmissionPolicy');
  const template = text('helm/templates/_fences.tpl');

  test('are on by default, each with a binding that denies', () => {
    const bindings = allOfKind<Binding>(path, 'ValidatingAdmissionPolicyBinding');
    assert.equal(policies.length, 4);
    assert.deepEqual(
      bindings.map(({ spec }) => spec.policyName),
      policies.map(({ metadata }) => metadata.name),
    );
    for (const { spec } of bindings) assert.deepEqual(spec.validationActions, ['Deny', 'Audit']);
  });

  test("are about the operator's own user only, and fail closed", () => {
    const [namespace, account] = ['workload-credentials', 'workload-credentials'];
    const expression = `request.userInfo.username == "system:serviceaccount:${namespace}:${account}"`;
    for (const { spec } of policies) {
      assert.deepEqual(
        spec.matchConditions.map((condition) => condition.expression),
        [expression],
      );
      assert.equal(spec.failurePolicy, 'Fail');
    }
  });

  test('refuse as forbidden, in one sentence that holds nothing of the request', () => {
    for (const { reason, message } of policies.flatMap(({ spec }) => spec.validations)) {
      // As invalid a Secret would be one that is itself wrong, and the operator would replace it.
      assert.equal(reason, 'Forbidden');
      assert.match(message, /^[A-Z].{20,200}[^.]$/);
    }
  });

  test("let the clouds' own audiences through, and no other by default", () => {
    const validations = policies.flatMap(({ spec }) => spec.validations);
    const list = validations.map(({ expression }) => /audiences\[0\] in (\[.*\])/.exec(expression)?.[1] ?? '').join('');
    assert.deepEqual(JSON.parse(list), Object.values(OWN_AUDIENCES).flat());
  });

  test('name only labels, annotations and a reporter that the operator writes', () => {
    const named = [...template.matchAll(/'([a-z.]+\/[a-z-]+)'/g)].map(([, key = '']) => key);
    const known: readonly string[] = Object.values(names).filter((name) => typeof name === 'string');
    assert.ok(named.length > 20);
    const reporter = `${GROUP}/operator`;
    assert.deepEqual(
      named.filter((key) => !known.includes(key) && key !== reporter),
      [],
    );
    assert.match(text('src/operator.ts'), /reportingController: `\$\{GROUP\}\/operator`/);
  });
});

describe('the plain manifests', () => {
  test('have a budget for evictions, a Service and ClusterRoles for people that are bound to nobody', () => {
    const path = 'deploy/operator.yaml';
    const budget = ofKind<Manifest & { spec: { maxUnavailable: number } }>(path, 'PodDisruptionBudget');
    assert.equal(budget.spec.maxUnavailable, 1);
    ofKind(path, 'Service');
    const bound = allOfKind<Manifest & { roleRef: { name: string } }>(path, 'ClusterRoleBinding');
    assert.deepEqual(
      bound.map(({ roleRef }) => roleRef.name),
      ['workload-credentials'],
    );
    const roles = allOfKind(path, 'ClusterRole').map(({ metadata }) => metadata.name);
    assert.deepEqual(
      roles.slice(1),
      ['view', 'edit', 'admin'].map((role) => `workload-credentials-${role}`),
    );
  });

  test('have no test pod and nothing that only Helm reads', () => {
    assert.deepEqual(allOfKind('deploy/operator.yaml', 'Pod'), []);
    assert.doesNotMatch(text('deploy/operator.yaml'), /helm\.sh/);
  });

  test('are listed in a kustomization that names the image of this version', () => {
    const { version } = JSON.parse(text('package.json')) as { readonly version: string };
    const { resources, images } = load(text('deploy/kustomization.yaml')) as {
      readonly resources: readonly string[];
      readonly images: readonly { readonly name: string; readonly newTag: string }[];
    };
    assert.deepEqual(resources, ['crd.yaml', 'operator.yaml']);
    assert.deepEqual(
      images.map(({ name, newTag }) => `${name}:${newTag}`),
      [`workload-credentials:${version}`],
    );
  });
});

describe("the operator's pod", () => {
  const deployment = ofKind<Deployment>('deploy/operator.yaml', 'Deployment');
  const pod = deployment.spec.template.spec;
  const container = firstContainer(deployment);

  test('runs twice, as non-root, on a read-only root, without capabilities', () => {
    assert.equal(deployment.spec.replicas, 2);
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.deepEqual(pod.securityContext.seccompProfile, { type: 'RuntimeDefault' });
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test('has a token of an hour, and not the one of 3,607 seconds that the API server takes for a year', () => {
    assert.equal(pod.automountServiceAccountToken, false);
    const sources = pod.volumes?.flatMap(({ projected }) => projected?.sources ?? []) ?? [];
    const lives = sources.flatMap(({ serviceAccountToken: token }) => token?.expirationSeconds ?? []);
    assert.deepEqual(lives, [3_600]);
    const paths = container.volumeMounts?.map(({ mountPath }) => mountPath);
    assert.deepEqual(paths, ['/var/run/secrets/kubernetes.io/serviceaccount']);
  });

  test('asks for memory and bounds it', () => {
    assert.deepEqual(Object.keys(container.resources?.requests ?? {}), ['cpu', 'memory']);
    assert.deepEqual(Object.keys(container.resources?.limits ?? {}), ['memory']);
  });

  const flags = [...text('helm/templates/deployment.yaml').matchAll(/--([a-z][a-z-]+)=/g)].map(
    (match) => match[1] ?? '',
  );

  test('gets each flag once', () => {
    assert.ok(flags.length > 12);
    assert.equal(new Set(flags).size, flags.length);
  });

  const options = new URL('src/options.ts', ROOT);
  test('gets only flags that the operator knows', {
    skip: existsSync(options) ? false : 'no src/options.ts yet',
  }, () => {
    const source = readFileSync(options, 'utf8');
    assert.deepEqual(
      flags.filter((flag) => !new RegExp(`['"\`](--)?${flag}['"\`]`).test(source)),
      [],
    );
  });
});

describe('the AWS sample', () => {
  const path = 'deploy/samples/aws.yaml';
  const credential = ofKind<
    Manifest & { readonly spec: { readonly serviceAccountName: string; readonly secret: { readonly name: string } } }
  >(path, 'WorkloadCredential');
  const account = ofKind(path, 'ServiceAccount');
  const pod = ofKind<Deployment>(path, 'Deployment').spec.template.spec;
  const [container] = pod.containers;

  test('has a ServiceAccount that consents to its WorkloadCredential', () => {
    assert.equal(account.metadata.name, credential.spec.serviceAccountName);
    assert.equal(account.metadata.annotations?.[ANNOTATION_ALLOW], credential.metadata.name);
  });

  test('mounts the whole Secret where its configuration says it is', () => {
    const [mount] = container?.volumeMounts ?? [];
    assert.equal(mount?.mountPath, `/var/run/secrets/${GROUP}/${credential.metadata.name}`);
    assert.equal(mount?.subPath, undefined);
    const [volume] = pod.volumes ?? [];
    assert.deepEqual(volume?.secret, { secretName: credential.spec.secret.name });
  });

  test('points the SDK at the file that reloads, and at that one only', () => {
    const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
    assert.equal(env['AWS_CONFIG_FILE'], `/var/run/secrets/${GROUP}/${credential.metadata.name}/config`);
    assert.equal(env['AWS_SHARED_CREDENTIALS_FILE'], undefined);
  });
});

describe('the image', () => {
  const dockerfile = text('Dockerfile');

  test('has arguments for both bases, runs as a number that is not root and needs no shell', () => {
    assert.match(dockerfile, /^ARG BUILD_IMAGE=\S+$/m);
    assert.match(dockerfile, /^ARG BASE_IMAGE=\S+$/m);
    assert.match(dockerfile, /^USER [1-9]\d*:[1-9]\d*$/m);
    assert.match(dockerfile, /^ENTRYPOINT \[/m);
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM'));
    assert.doesNotMatch(last, /^RUN/m);
  });

  test('is built from files that the build may see', () => {
    const visible = text('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
      (match[1] ?? '').split(' '),
    );
    assert.deepEqual(
      copied.filter((path) => !visible.includes(path)),
      [],
    );
  });
});

test('the chart has the version of the package', () => {
  const chart = load(text('helm/Chart.yaml')) as { readonly version: string; readonly appVersion: string };
  const { version } = JSON.parse(text('package.json')) as { readonly version: string };
  assert.deepEqual([chart.version, chart.appVersion], [version, version]);
});
