// Shows that a real API server takes what we ship: every manifest of deploy/ and every pair of the chart's values, by server-side
// dry run with strict validation, and pods under restricted Pod Security; that the chart serves single ServiceAccounts of
// single namespaces; that `helm test` looks at the real thing; and what `helm uninstall` leaves.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadAll } from 'js-yaml';
import { parseOptions } from '../../src/options.ts';
import { runCommand } from '../beds/command.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { CHART_CHOICES } from '../support/chart-values.ts';
import type { Setting } from '../support/chart-values.ts';
import { manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { monitoringCRDs } from '../support/monitoring-crds.ts';
import { pairwise } from '../support/pairwise.ts';

const ROOT = new URL('../../', import.meta.url);
const CHART = fileURLToPath(new URL('helm', ROOT));
const AUDIENCE = 'sts.seaweedfs.test';
const SOON = { timeoutMs: 30_000, everyMs: 200 };
/** Where the pairs are tried: nothing else is there. */
const PAIRS_NAMESPACE = 'pairs';
const orders = { namespace: 'team', name: 'orders' };
const billing = { namespace: 'team', name: 'billing' };

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let stsURL = '';

interface PodSpec {
  readonly serviceAccountName?: string;
  readonly containers: readonly { readonly command?: readonly string[]; readonly args?: readonly string[] }[];
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

const STRICT = ['--dry-run=server', '--validate=strict'];

/**
 * Asks the API server; what it says when it refuses. Documents, not a List: kubectl validates that by itself, and more loosely.
 */
async function refusal(verb: 'apply' | 'create', objects: readonly object[]): Promise<string> {
  // JSON texts in a row: kubectl 1.32 takes no YAML separator between them.
  const stdin = objects.map((object) => JSON.stringify(object)).join('\n');
  const { code, stderr } = await bed.kubernetes.kubectl([verb, '-f', '-', ...STRICT], { stdin, timeoutMs: 90_000 });
  const isNoise = (line: string): boolean =>
    line.startsWith('Warning: ') && line.includes('last-applied-configuration');
  const said = stderr.split('\n').filter((line) => !isNoise(line));
  return code === 0 ? '' : said.join('\n');
}

async function createNamespaces(...names: readonly string[]): Promise<void> {
  await bed.apply(...names.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
}

/** Renders the chart. @throws AssertionError with what Helm says. */
async function render(setting: Setting, namespace = SYSTEM_NAMESPACE): Promise<Manifest[]> {
  const { release = 'wc', ...values } = setting;
  const sets = Object.entries(values).flatMap(([path, value]) => ['--set-json', `${path}=${JSON.stringify(value)}`]);
  // Helm before 3.17 takes an older Kubernetes for granted than the chart asks for.
  const anywhere = ['--kube-version', '1.32.0'];
  const command = ['template', String(release), CHART, '--namespace', namespace, ...anywhere, ...sets];
  const { code, stdout, stderr } = await bed.kubernetes.helm(command);
  assert.equal(code, 0, `${sets.join(' ')}: ${stderr}`);
  return (loadAll(stdout) as (Manifest | null)[]).filter((object) => object !== null);
}

/** Every YAML file of a folder, its own folders included. */
function yamlFiles(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `${folder}${name}`);
}

function podOf(name: string, spec: object, namespace = SYSTEM_NAMESPACE): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec };
}

function serviceAccount(namespace: string, name: string): object {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } };
}

before(async () => {
  bed = await startCluster();
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects: ['system:serviceaccount:team:orders'], bucket: 'app' }],
  });
  stsURL = (await bed.addProxy(seaweedFS.url)).url;
  await bed.createWorkloads([orders, billing]);
  await bed.install({
    scope: ['team'],
    endpoints: [{ url: stsURL, audiences: [AUDIENCE] }],
    values: { serviceAccounts: { team: ['orders'] }, 'networkPolicy.enabled': true },
  });
});

after(async () => {
  await bed?.stop();
  await seaweedFS?.stop();
});

describe('installed for one ServiceAccount of one namespace, the operator', () => {
  const wanted = (key: { namespace: string; name: string }): object =>
    manifest({
      ...key,
      aws: { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE, endpoint: stsURL },
    });

  test('issues its credential', async () => {
    await bed.apply(wanted(orders));
    await bed.untilIssued(orders);
  });

  test('is refused a token of another by RBAC, and says so', async () => {
    await bed.apply(wanted(billing));
    const { message } = await bed.untilReason(billing, ['Stalled', 'TokenRequestDenied']);
    assert.match(message, /cannot create resource "serviceaccounts\/token"/);
    assert.equal(bed.exchanges(billing), 0);
  });

  test('uses no right that the Roles do not give', async () => {
    const { onlyUsed, onlyGranted } = await bed.rightsThatDiffer();
    assert.deepEqual(onlyUsed, []);
    // The whole list is used up in secrets.test.ts; nothing of the everyday work may be among what is left here.
    assert.deepEqual(
      onlyGranted.filter((right) => !/^(delete|patch) \/secrets$|^patch events|^update coordination|^get /.test(right)),
      [],
    );
  });

  test("has pods that restricted Pod Security lets the cluster's controllers make", async () => {
    const pods = async (): Promise<number> => {
      const labels = 'app.kubernetes.io/name=workload-credentials';
      const text = await bed.kubectl('get', 'pods', '-n', SYSTEM_NAMESPACE, '-l', labels, '-o', 'name');
      return text.split('\n').filter((line) => line !== '').length;
    };
    await waitFor('both pods to be made', async () => (await pods()) === 2, SOON);
    const asRoot: object = { containers: [{ name: 'x', image: 'x' }] };
    const refused = await refusal('create', [podOf('as-root', asRoot)]);
    assert.match(refused, /violates PodSecurity "restricted:latest"/);
  });
});

describe('helm test', () => {
  /** Runs what the test's pod would run, against another URL. */
  async function runTestPod(url: string, seconds: string): Promise<{ code: number | null; output: string }> {
    const pod = (await render({ clusterWide: true })).find(({ kind }) => kind === 'Pod');
    const [container] = (pod?.spec as PodSpec | undefined)?.containers ?? [];
    const [program = '', ...flags] = container?.command ?? [];
    const [script = '', target] = container?.args ?? [];
    assert.equal(program, 'node');
    assert.equal(target, `http://wc-metrics.${SYSTEM_NAMESPACE}.svc:8080`);
    const args = [...flags, script, url, seconds];
    const { code, stdout, stderr } = await runCommand(process.execPath, args, { env: {}, cwd: fileURLToPath(ROOT) });
    return { code, output: stdout + stderr };
  }

  test('makes the pod, waits for its end and takes it away', async () => {
    const pod = ['pod', 'wc-test', '-n', SYSTEM_NAMESPACE];
    const testing = bed.kubernetes.helm(['test', 'wc', '--namespace', SYSTEM_NAMESPACE, '--timeout=60s']);
    const isMade = async (): Promise<boolean> => (await bed.kubernetes.kubectl(['get', ...pod])).code === 0;
    await waitFor('the pod of the test', isMade, SOON);
    // What a kubelet would tell: there is none.
    const ended = JSON.stringify({ status: { phase: 'Succeeded' } });
    await bed.kubectl('patch', ...pod, '--subresource=status', '--type=merge', '-p', ended);
    const { code, stdout, stderr } = await testing;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /TEST SUITE: +wc-test[\s\S]*Phase: +Succeeded/);
    await waitFor('the pod to be gone', async () => !(await isMade()), SOON);
  });

  test('succeeds with the running operator', async () => {
    const { code, output } = await runTestPod(bed.operator.url, '60');
    assert.equal(code, 0, output);
    assert.match(output, /is ready/);
  });

  test('fails, and says why, with something that is not it', async () => {
    const other = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const { code, output } = await runTestPod(`http://127.0.0.1:${port}`, '1');
    other.close();
    assert.equal(code, 1);
    assert.match(output, /no leader_election_master_status/);
  });
});

describe('the API server takes, strictly validated,', { timeout: 120_000 }, () => {
  before(async () => {
    await bed.apply(...(await monitoringCRDs()));
    const served = async (): Promise<boolean> => {
      const kinds = ['servicemonitors', 'podmonitors', 'prometheusrules'].map(
        (plural) => `${plural}.monitoring.coreos.com`,
      );
      return (await bed.kubernetes.kubectl(['get', kinds.join(), '-A'])).code === 0;
    };
    await waitFor('the CRDs to be served', served, SOON);
  });

  test('every manifest of deploy/, and not a misspelt one', async () => {
    // What is for Argo CD is tried in gitops.test.ts: patches, and data for its own tests.
    const objects = yamlFiles('deploy/')
      .filter((path) => !path.endsWith('/kustomization.yaml') && !path.startsWith('deploy/argocd/'))
      .flatMap((path) => loadAll(readFileSync(new URL(path, ROOT), 'utf8')) as (Manifest | null)[])
      .filter((object) => object !== null);
    assert.ok(objects.length > 30);
    const namespaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
    await createNamespaces(...namespaces);
    assert.equal(await refusal('apply', objects), '');
    const deployment = objects.find(({ kind }) => kind === 'Deployment');
    const misspelt = { ...deployment, spec: { ...deployment?.spec, replica: 2 } };
    assert.match(await refusal('apply', [misspelt]), /unknown field "spec.replica"/);
  });

  test('monitors and rules by the CRDs that the Prometheus operator ships, and not misspelt ones', async () => {
    const scrape = (endpoint: object): object => ({
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'ServiceMonitor',
      metadata: { name: 'wc', namespace: SYSTEM_NAMESPACE },
      spec: { selector: {}, endpoints: [endpoint] },
    });
    assert.equal(await refusal('apply', [scrape({ port: 'http', interval: '30s' })]), '');
    assert.match(
      await refusal('apply', [scrape({ port: 'http', honourLabels: true })]),
      /unknown field .*honourLabels/,
    );
    assert.match(await refusal('apply', [scrape({ port: 'http', interval: 'soon' })]), /interval in body should match/);
  });

  test('the kustomization, which is all of deploy/ but samples and components', async () => {
    const rendered = await bed.kubectl('kustomize', fileURLToPath(new URL('deploy', ROOT)));
    const namesOf = (text: string): string[] =>
      (loadAll(text) as Manifest[]).map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted();
    const plain = ['deploy/crd.yaml', 'deploy/operator.yaml'].map((path) => readFileSync(new URL(path, ROOT), 'utf8'));
    assert.deepEqual(namesOf(rendered), plain.flatMap(namesOf).toSorted());
    const { code, stderr } = await bed.kubernetes.kubectl([
      'apply',
      '-k',
      fileURLToPath(new URL('deploy', ROOT)),
      ...STRICT,
    ]);
    assert.equal(code, 0, stderr);
  });

  test('the kustomization with each component, which adds what the chart has on demand', async () => {
    const added: Record<string, string> = {
      'network-policy': 'NetworkPolicy',
      'service-monitor': 'ServiceMonitor',
      'pod-monitor': 'PodMonitor',
      'prometheus-rule': 'PrometheusRule',
      dashboard: 'ConfigMap',
    };
    const folders = readdirSync(new URL('deploy/components/', ROOT));
    assert.deepEqual(folders.toSorted(), Object.keys(added).toSorted());
    const directory = mkdtempSync(join(bed.kubernetes.directory, 'kustomize-'));
    cpSync(new URL('deploy', ROOT), join(directory, 'deploy'), { recursive: true });
    const builtWith = async (...components: readonly string[]): Promise<Manifest[]> => {
      const kustomization = {
        resources: ['../deploy'],
        components: components.map((component) => `../deploy/components/${component}`),
      };
      mkdirSync(join(directory, 'own'), { recursive: true });
      writeFileSync(join(directory, 'own/kustomization.yaml'), JSON.stringify(kustomization));
      return loadAll(await bed.kubectl('kustomize', join(directory, 'own'))) as Manifest[];
    };
    const plain = (await builtWith()).map((object) => JSON.stringify(object));
    const further: Manifest[] = [];
    for (const [component, kind] of Object.entries(added)) {
      const others = (await builtWith(component)).filter((object) => !plain.includes(JSON.stringify(object)));
      assert.deepEqual(
        others.map((object) => object.kind),
        [kind],
        component,
      );
      further.push(...others);
    }
    assert.equal(await refusal('apply', further), '');
  });

  test('every pair of values of the chart', async (context) => {
    const startedMs = performance.now();
    await createNamespaces('shop', 'billing', PAIRS_NAMESPACE);
    await bed.kubectl('label', 'namespace', PAIRS_NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted');
    const unique = new Map<string, Manifest>();
    const rows = pairwise(CHART_CHOICES);
    for (const row of rows) {
      const setting = Object.assign({}, ...[...row].map(([name, answer]) => CHART_CHOICES[name]?.[answer])) as Setting;
      for (const object of await render(setting, PAIRS_NAMESPACE)) unique.set(JSON.stringify(object), object);
    }
    const objects = [...unique.values()];
    const refused = objects.flatMap(({ kind, spec }) => {
      const args = kind === 'Deployment' ? (spec?.template?.spec.containers[0]?.args ?? []) : undefined;
      const parsed = args === undefined ? undefined : parseOptions(args);
      return parsed?.kind === 'wrong' ? parsed.problems : [];
    });
    assert.deepEqual(refused, [], 'the program takes its arguments');
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount').map(({ metadata }) => metadata.name);
    await bed.apply(...[...new Set(accounts)].map((name) => serviceAccount(PAIRS_NAMESPACE, name)));
    assert.equal(await refusal('apply', objects), '');

    const pods = objects.flatMap(({ kind, spec }, index) =>
      kind === 'Deployment' && spec?.template !== undefined
        ? [podOf(`pod-${index}`, spec.template.spec, PAIRS_NAMESPACE)]
        : [],
    );
    assert.ok(pods.length > 20, `${pods.length} different Deployments`);
    assert.equal(await refusal('create', pods), '', 'restricted Pod Security admits each');
    const ms = Math.round(performance.now() - startedMs);
    context.diagnostic(
      `${rows.length} renderings, ${objects.length} different objects, ${pods.length} pods in ${ms} ms`,
    );
    assert.ok(ms < 180_000, `${ms} ms`);
  });
});

describe('what the chart renders', () => {
  interface Selecting {
    readonly selector?: { readonly matchLabels?: Labels } & Labels;
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly ports?: readonly { readonly name: string }[];
    readonly endpoints?: readonly Scrape[];
    readonly podMetricsEndpoints?: readonly Scrape[];
    readonly ingress?: readonly { from?: readonly { podSelector?: { matchLabels: Labels } }[] }[];
    readonly egress?: readonly {
      ports: readonly { port: number }[];
      to?: readonly { ipBlock?: { except?: string[] } }[];
    }[];
    readonly template?: { readonly metadata: { readonly labels: Labels } };
  }
  type Labels = Readonly<Record<string, string>>;
  interface Scrape {
    readonly port: string;
    readonly path: string;
    readonly honorLabels: boolean;
  }
  interface Rendered {
    readonly kind: string;
    readonly metadata: { readonly labels: Labels };
    readonly spec: Selecting;
  }
  const of = (objects: readonly unknown[], kind: string): Rendered => {
    const found = (objects as readonly Rendered[]).find((object) => object.kind === kind);
    assert.ok(found !== undefined, kind);
    return found;
  };
  const selects = (selector: Labels | undefined, labels: Labels): boolean =>
    Object.entries(selector ?? { none: 'none' }).every(([key, value]) => labels[key] === value);

  test('selects the replicas by Service, budget and NetworkPolicy, and not the pod of the test, which may come in', async () => {
    const ingressFrom = [{ namespaceSelector: { matchLabels: { team: 'monitoring' } } }];
    const narrowed = { 'networkPolicy.enabled': true, 'networkPolicy.ingressFrom': ingressFrom };
    const objects = await render({ clusterWide: true, ...narrowed });
    const replica = of(objects, 'Deployment').spec.template?.metadata.labels ?? {};
    const tester = of(objects, 'Pod').metadata.labels;
    for (const selector of [
      of(objects, 'Service').spec.selector,
      of(objects, 'PodDisruptionBudget').spec.selector?.matchLabels,
      of(objects, 'NetworkPolicy').spec.podSelector?.matchLabels,
    ]) {
      assert.deepEqual([selects(selector, replica), selects(selector, tester)], [true, false]);
    }
    const [scraper, itself, ...others] =
      of(objects, 'NetworkPolicy').spec.ingress?.flatMap(({ from }) => from ?? []) ?? [];
    assert.deepEqual([scraper, others], [ingressFrom[0], []]);
    const admitted = itself?.podSelector?.matchLabels;
    assert.deepEqual([selects(admitted, tester), selects(admitted, replica)], [true, false]);
    const open = await render({ clusterWide: true, 'networkPolicy.enabled': true });
    assert.deepEqual(
      of(open, 'NetworkPolicy').spec.ingress?.map(({ from }) => from),
      [undefined],
    );
  });

  test('is scraped once, with the labels that the series have', async () => {
    for (const [value, kind] of [
      ['serviceMonitor', 'ServiceMonitor'],
      ['podMonitor', 'PodMonitor'],
    ] as const) {
      const objects = await render({ clusterWide: true, [`metrics.${value}.enabled`]: true });
      const { spec } = of(objects, kind);
      const scraped = kind === 'ServiceMonitor' ? of(objects, 'Service').metadata.labels : undefined;
      const replica = of(objects, 'Deployment').spec.template?.metadata.labels ?? {};
      assert.ok(selects(spec.selector?.matchLabels, scraped ?? replica));
      const [scrape, ...others] = spec.endpoints ?? spec.podMetricsEndpoints ?? [];
      assert.deepEqual([scrape?.port, scrape?.path, scrape?.honorLabels, others], ['http', '/metrics', true, []]);
    }
  });

  test('leads from each alert to the runbook where it is published, and asks for the address where it has none', async () => {
    const notes = async (setting: Setting): Promise<string> => {
      // Helm 3.14 asks also for a dry run whose definition it is that is there.
      const sets = Object.entries({ clusterWide: true, 'crd.install': false, ...setting }).flatMap(([path, value]) => [
        '--set-json',
        `${path}=${JSON.stringify(value)}`,
      ]);
      const command = ['install', 'notes', CHART, '--namespace', SYSTEM_NAMESPACE, '--dry-run=client', ...sets];
      const { code, stdout, stderr } = await bed.kubernetes.helm(command);
      assert.equal(code, 0, stderr);
      const [, text] = stdout.split('\nNOTES:\n');
      assert.ok(text !== undefined, stdout);
      return text;
    };
    const linkless = /prometheusRule\.runbookURL/;
    assert.doesNotMatch(await notes({}), linkless);
    assert.match(await notes({ 'prometheusRule.enabled': true }), linkless);
    const address = 'https://wiki.example.com/runbook';
    const published = { 'prometheusRule.enabled': true, 'prometheusRule.runbookURL': address };
    assert.doesNotMatch(await notes(published), linkless);
    const rules = JSON.stringify(of(await render({ clusterWide: true, ...published }), 'PrometheusRule').spec);
    const links = [...rules.matchAll(/"runbook_url":"([^"#]*)#/g)].map(([, link]) => link);
    assert.ok(links.length > 10);
    assert.deepEqual([...new Set(links)], [address]);
  });

  test('opens the ports of STS, API server, listed endpoints and proxy, and no metadata service', async () => {
    const objects = await render({
      clusterWide: true,
      'networkPolicy.enabled': true,
      'sts.endpoints': [
        { cloud: 'AWS', url: 'https://sts.example.com:8443', audiences: ['a'] },
        { cloud: 'AWS', url: 'https://other.example.com', audiences: ['b'] },
      ],
      'proxy.httpsProxy': 'http://proxy.example:3128',
    });
    const [sts, names, ...others] = of(objects, 'NetworkPolicy').spec.egress ?? [];
    assert.deepEqual(others, []);
    assert.deepEqual(
      sts?.ports.map(({ port }) => port),
      [443, 6443, 8443, 3128],
    );
    assert.deepEqual(
      sts?.to?.flatMap(({ ipBlock }) => ipBlock?.except ?? []),
      ['169.254.0.0/16', '100.100.100.200/32', '100.96.0.96/32', 'fe80::/10', 'fd00:ec2::254/128'],
    );
    assert.deepEqual(
      names?.ports.map(({ port }) => port),
      [53, 53],
    );
  });

  test('has no fence where they are switched off, and each audience of sts.endpoints where they are on', async () => {
    const kinds = async (setting: Setting): Promise<number> =>
      (await render({ clusterWide: true, ...setting })).filter(({ kind }) => kind.startsWith('ValidatingAdmission'))
        .length;
    assert.deepEqual([await kinds({}), await kinds({ 'fences.enabled': false })], [8, 0]);
    const endpoints = [{ cloud: 'AWS', url: 'https://sts.example.com', audiences: ['mine', 'https://x.example/y=z'] }];
    const objects = await render({ clusterWide: true, 'sts.endpoints': endpoints });
    assert.match(JSON.stringify(objects), /sts\.amazonaws\.com[^\]]*mine[^\]]*https:\/\/x\.example\/y=z/);
  });

  test("fences kube-system and the operator's own namespace, whatever fences.protectedNamespaces says", async () => {
    const always = ['kube-system', SYSTEM_NAMESPACE];
    for (const named of [[], ['vault'], ['kube-system', 'vault'], [SYSTEM_NAMESPACE]]) {
      const objects = await render({ clusterWide: true, 'fences.protectedNamespaces': named });
      const lists = [...JSON.stringify(objects).matchAll(/request\.namespace in \[([^\]]*)\]/g)];
      const expected = [...new Set([...always, ...named])].toSorted().map((namespace) => `'${namespace}'`);
      assert.deepEqual(
        lists.map(([, list]) => list),
        [expected.join(), expected.join()],
        'of tokens and of Secrets',
      );
    }
  });
});

describe('a wrong value is refused with a sentence that says what to do:', () => {
  const endpointsFor = (...audiences: readonly string[]): object[] => [
    { cloud: 'AWS', url: 'https://other.example.com', audiences: ['mine'] },
    { cloud: 'AWS', url: 'https://sts.example.com', audiences: ['theirs', ...audiences] },
  ];
  const usualAudiences = ['https://kubernetes.default.svc', 'https://kubernetes.default.svc.cluster.local'];
  const cases: [title: string, setting: Setting, said: RegExp][] = [
    ['none', {}, /choose what the operator may reach: namespaces=\{a,b\} .* clusterWide=true gives/],
    ['two', { namespaces: ['shop'], clusterWide: true }, /namespaces and clusterWide are both set/],
    [
      'names of a namespace that is not served',
      { namespaces: ['shop'], serviceAccounts: { billing: ['x'] } },
      /add it to namespaces/,
    ],
    [
      'names with every namespace',
      { clusterWide: true, serviceAccounts: { shop: ['x'] } },
      /cannot be narrowed by namespace/,
    ],
    ["the operator's own namespace", { namespaces: [SYSTEM_NAMESPACE] }, /wc-system, which the fences always protect/],
    [
      'kube-system, whatever is protected beside it',
      { namespaces: ['kube-system'], 'fences.protectedNamespaces': [] },
      /kube-system, which the fences always protect/,
    ],
    [
      'a namespace that the fences protect',
      { namespaces: ['vault'], 'fences.protectedNamespaces': ['vault'] },
      /take it out of fences.protectedNamespaces/,
    ],
    ...usualAudiences.map((audience): [string, Setting, RegExp] => [
      `an endpoint's audience that is ${audience}`,
      { clusterWide: true, 'sts.endpoints': endpointsFor(audience), apiServerAudiences: ['https://api.example.com'] },
      new RegExp(`audience ${audience} for https://sts.example.com, .* give the endpoint an audience of its own`),
    ]),
    [
      "an endpoint's audience that the API server was said to have",
      {
        clusterWide: true,
        'sts.endpoints': endpointsFor('api'),
        apiServerAudiences: ['https://api.example.com', 'api'],
      },
      /audience api for https:\/\/sts\.example\.com, which is the API server's own/,
    ],
    [
      'the same without fences, since the operator would refuse it at the exchange',
      { clusterWide: true, 'sts.endpoints': endpointsFor(usualAudiences[0] ?? ''), 'fences.enabled': false },
      /which is the API server's own/,
    ],
    [
      'both monitors',
      { clusterWide: true, 'metrics.serviceMonitor.enabled': true, 'metrics.podMonitor.enabled': true },
      /scraped twice/,
    ],
    [
      'a value that does not exist',
      { clusterWide: true, namespace: 'shop' },
      // Helm 4 and 3, and Helm 3 before 3.18.
      /additional properties 'namespace' not allowed|Additional property namespace is not allowed/,
    ],
  ];
  for (const [title, setting, said] of cases) {
    test(title, async () => {
      await assert.rejects(render(setting), said);
    });
  }
});

describe("the users' ClusterRoles", () => {
  const may = async (user: string, verb: string, ...what: readonly string[]): Promise<string> => {
    const args = ['auth', 'can-i', verb, ...what, '-n', 'team'];
    return (await bed.kubernetes.kubectl(args, { as: user })).stdout.trim();
  };
  const bind = async (user: string, role: string): Promise<void> => {
    await bed.kubectl('create', 'rolebinding', user, '-n', 'team', `--clusterrole=${role}`, `--user=${user}`);
  };
  const OURS = 'workloadcredentials.workloadcredentials.io';

  test('give what their names say, and no Secrets', async () => {
    for (const role of ['view', 'edit', 'admin']) await bind(`our-${role}`, `wc-${role}`);
    const answers: Record<string, string> = {};
    for (const user of ['our-view', 'our-edit', 'our-admin']) {
      for (const verb of ['list', 'create', 'deletecollection'])
        answers[`${user} ${verb}`] = await may(user, verb, OURS);
      assert.equal(await may(user, 'patch', OURS, '--subresource=status'), 'no');
      assert.equal(await may(user, 'get', 'secrets'), 'no');
    }
    assert.deepEqual(answers, {
      'our-view list': 'yes',
      'our-view create': 'no',
      'our-view deletecollection': 'no',
      'our-edit list': 'yes',
      'our-edit create': 'yes',
      'our-edit deletecollection': 'no',
      'our-admin list': 'yes',
      'our-admin create': 'yes',
      'our-admin deletecollection': 'yes',
    });
  });

  test("are part of Kubernetes' own only when they are asked to be", async () => {
    await bind('editor', 'edit');
    assert.equal(await may('editor', 'create', OURS), 'no');
    const aggregated = (await render({ clusterWide: true, 'userRoles.aggregate': true })).filter(
      ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name !== 'wc',
    );
    await bed.apply(...aggregated);
    await waitFor('the role to be aggregated', async () => (await may('editor', 'create', OURS)) === 'yes', SOON);
  });
});

describe('helm uninstall', () => {
  test('leaves the CRD, the WorkloadCredentials and their Secrets, and nothing of the operator', async () => {
    await bed.uninstall();
    assert.ok((await bed.client.credential('team', 'orders')) !== undefined);
    assert.ok((await bed.client.secret('team', 'orders')) !== undefined);
    const kinds = [
      'deployments,services,poddisruptionbudgets,networkpolicies,roles,rolebindings',
      'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings',
    ].join();
    const left = await bed.kubectl('get', kinds, '-A', '-l', 'app.kubernetes.io/instance=wc', '-o', 'name');
    assert.equal(left, '');
  });
});
