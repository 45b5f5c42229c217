// The command line: every flag, every mistake in one sentence, all of them at once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FLAGS, helpText, type Options, parseOptions } from '../../src/options.ts';
import { HTTPProxy, NoProxy } from '../../src/transport/proxy.ts';

function read(...args: string[]): Options {
  const parsed = parseOptions(args);
  assert.equal(parsed.kind, 'run', JSON.stringify(parsed));
  assert.ok(parsed.kind === 'run');
  return parsed.options;
}

function problems(...args: string[]): readonly string[] {
  const parsed = parseOptions(args);
  assert.ok(parsed.kind === 'wrong', `${args.join(' ')} was taken`);
  return parsed.problems;
}

describe('the command line', () => {
  test('without flags has the defaults of the register', () => {
    assert.deepEqual(read(), {
      kubeconfig: undefined,
      namespaces: [],
      clusterName: undefined,
      logLevel: 'info',
      listenAddress: ':8080',
      leaderElect: true,
      leaseName: 'workload-credentials',
      leaseNamespace: undefined,
      workers: 16,
      requireConsent: true,
      minRefreshIntervalSeconds: 60,
      stsEndpoints: [],
      stsCAFile: undefined,
      stsExtraCAFile: undefined,
      httpsProxy: undefined,
      noProxy: undefined,
      inClusterProxy: false,
      stsRequestsPerSecond: 10,
      stsBurst: 20,
      apiServerAudiences: ['https://kubernetes.default.svc', 'https://kubernetes.default.svc.cluster.local'],
      allowedMetadataDomains: ['app.kubernetes.io'],
      perCredentialMetrics: true,
      expectFences: false,
    });
  });

  /** One good value for each flag, and what becomes of it. */
  const GOOD: Readonly<Record<keyof typeof FLAGS, readonly [text: string, field: keyof Options, value: unknown]>> = {
    kubeconfig: ['/kube/config', 'kubeconfig', '/kube/config'],
    namespaces: ['shop, bank', 'namespaces', ['shop', 'bank']],
    'cluster-name': ['prod-1', 'clusterName', 'prod-1'],
    'log-level': ['debug', 'logLevel', 'debug'],
    'listen-address': ['[::1]:9090', 'listenAddress', '[::1]:9090'],
    'leader-elect': ['false', 'leaderElect', false],
    'lease-name': ['mine', 'leaseName', 'mine'],
    'lease-namespace': ['wc-system', 'leaseNamespace', 'wc-system'],
    workers: ['256', 'workers', 256],
    'require-consent': ['false', 'requireConsent', false],
    'min-refresh-interval-seconds': ['1', 'minRefreshIntervalSeconds', 1],
    'sts-endpoint': [
      'AWS=https://sts.example.internal=sts.example.internal',
      'stsEndpoints',
      [{ cloud: 'AWS', host: 'sts.example.internal', scheme: 'https', audiences: ['sts.example.internal'] }],
    ],
    'sts-ca-file': ['/ca.pem', 'stsCAFile', '/ca.pem'],
    'sts-extra-ca-file': ['/ca.pem', 'stsExtraCAFile', '/ca.pem'],
    'https-proxy': ['http://proxy:3128', 'httpsProxy', new HTTPProxy(new URL('http://proxy:3128'), undefined)],
    'no-proxy': ['.svc,10.0.0.0/8', 'noProxy', new NoProxy('.svc,10.0.0.0/8')],
    'in-cluster-proxy': ['true', 'inClusterProxy', true],
    'sts-requests-per-second': ['0.5', 'stsRequestsPerSecond', 0.5],
    'sts-burst': ['1', 'stsBurst', 1],
    'api-server-audiences': ['a,b', 'apiServerAudiences', ['a', 'b']],
    'allowed-metadata-domains': ['example.com', 'allowedMetadataDomains', ['example.com']],
    'per-credential-metrics': ['false', 'perCredentialMetrics', false],
    'expect-fences': ['true', 'expectFences', true],
  };
  for (const [name, [text, field, value]] of Object.entries(GOOD)) {
    test(`--${name}=${text} is taken, with = and with a space`, () => {
      const election = name === 'kubeconfig' ? ['--leader-elect=false'] : [];
      assert.deepEqual(read(`--${name}=${text}`, ...election)[field], value);
      assert.deepEqual(read(`--${name}`, text, ...election)[field], value);
    });
  }

  test('--sts-endpoint may be repeated, the others may not', () => {
    const endpoints = read(
      '--sts-endpoint=AWS=https://a.example.internal=a.example.internal',
      '--sts-endpoint=AWS=https://b.example.internal=b.example.internal',
    ).stsEndpoints;
    assert.deepEqual(
      endpoints.map(({ host }) => host),
      ['a.example.internal', 'b.example.internal'],
    );
    assert.deepEqual(problems('--workers=1', '--workers=2'), ['--workers is given twice: leave one out.']);
  });

  test('may say that there is none only where that has a meaning', () => {
    assert.deepEqual(read('--allowed-metadata-domains=').allowedMetadataDomains, []);
    const others = (Object.keys(FLAGS) as (keyof typeof FLAGS)[]).filter((name) => name !== 'allowed-metadata-domains');
    for (const name of others) assert.match(problems(`--${name}=`).join(), new RegExp(`--${name} has no value`));
  });

  test('is frozen', () => {
    assert.throws(() => {
      (read() as { workers: number }).workers = 1;
    }, TypeError);
  });
});

describe('a wrong command line', () => {
  const BAD: readonly (readonly [arg: string, says: RegExp])[] = [
    ['--workers=0', /--workers is "0": .*whole number from 1 to 256/],
    ['--workers=257', /257/],
    ['--workers=1.5', /1\.5/],
    ['--workers=-1', /-1/],
    ['--workers=1e2', /1e2/],
    ['--workers=', /--workers has no value: write --workers=NUMBER/],
    ['--workers', /--workers has no value/],
    ['--leader-elect=yes', /--leader-elect is "yes": it has to be true or false/],
    ['--log-level=verbose', /one of error, warn, info, debug/],
    ['--namespaces=Shop', /--namespaces is "Shop": each item has to be the name of a namespace/],
    ['--cluster-name=a b', /--cluster-name is "a b"/],
    ['--lease-name=UPPER', /--lease-name is "UPPER"/],
    ['--lease-namespace=a.b', /--lease-namespace is "a\.b"/],
    ['--min-refresh-interval-seconds=0', /1 to 3600/],
    ['--sts-requests-per-second=0', /from 0\.1 to 1000/],
    ['--sts-requests-per-second=NaN', /NaN/],
    ['--sts-burst=0', /--sts-burst/],
    ['--sts-endpoint=AWS=http://sts.example.com=x', /--sts-endpoint/],
    ['--sts-endpoint=nonsense', /--sts-endpoint .*The form is/],
    ['--allowed-metadata-domains=workloadcredentials.io', /the operator's own domain cannot be given/],
    ['--allowed-metadata-domains=x.workloadcredentials.io', /own domain/],
    ['--kubeconfig=/k', /--lease-namespace is missing/],
    ['--https-proxy=socks5://proxy:1080', /--https-proxy cannot be used: it is a socks5:\/\/ URL, and SOCKS/],
    ['--https-proxy=https://proxy:3128', /--https-proxy cannot be used: .*TLS to the proxy itself/],
    ['--https-proxy=http://', /--https-proxy cannot be used: it is no URL/],
    ['--https-proxy=http://hunter:hunter2@proxy:3128', /proxy:3128 has a user or password.*HTTPS_PROXY.*Secret/],
    ['--no-proxy=.svc,10.*', /--no-proxy is "10\.\*": each item has to be/],
    ['--in-cluster-proxy=maybe', /true or false/],
    ['--colour=red', /--colour is no flag of this version: see --help/],
    ['-x', /-x is no flag/],
    ['serve', /"serve" is no flag: write --name=value/],
  ];
  for (const [arg, says] of BAD) {
    test(`${arg} is told in a sentence that names it and the fix`, () => {
      const [first = '', ...more] = problems(arg);
      assert.deepEqual(more, []);
      assert.match(first, says);
      assert.match(first, /\.$/);
      assert.doesNotMatch(first, /hunter/);
    });
  }

  test('is told where two flags exclude each other', () => {
    assert.match(problems('--sts-ca-file=/a', '--sts-extra-ca-file=/b').join(), /both given.*give one/);
    const kubeconfig = ['--kubeconfig=/k', '--leader-elect=false', '--in-cluster-proxy=true'];
    assert.match(problems(...kubeconfig).join(), /--in-cluster-proxy=true is for pods without --kubeconfig/);
  });

  test('is told with all its mistakes at once', () => {
    const found = problems('--workers=0', '--log-level=loud', '--colour', 'serve', '--sts-burst=x');
    assert.equal(found.length, 5, found.join('\n'));
  });
});

describe('help and version', () => {
  test('--help and --version win over mistakes', () => {
    assert.equal(parseOptions(['--workers=0', '--help']).kind, 'help');
    assert.equal(parseOptions(['-h']).kind, 'help');
    assert.equal(parseOptions(['--version', 'nonsense']).kind, 'version');
  });

  test('the help lists every flag with its meaning and default', () => {
    const text = helpText();
    for (const [name, flag] of Object.entries(FLAGS)) {
      assert.ok(text.includes(`  --${name}=${flag.value}\n      ${flag.help}`), name);
      if (flag.default !== '') assert.ok(text.includes(`${flag.help} Default: ${flag.default}\n`), name);
    }
  });
});
