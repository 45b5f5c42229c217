// Which way connections leave: flags before the environment, names of the environment in Go's order, and the API server
// of our own pod directly.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type APIServerPlace, type EgressFlags, EgressError, planEgress } from '../../../src/transport/egress.ts';
import { HTTPProxy, NoProxy } from '../../../src/transport/proxy.ts';

const STS = new URL('https://sts.eu-west-1.amazonaws.com');
const NO_FLAGS: EgressFlags = { httpsProxy: undefined, noProxy: undefined, inClusterProxy: false };
const POD: APIServerPlace = { server: new URL('https://10.96.0.1:443'), isInCluster: true, proxy: undefined };
const KUBECONFIG: APIServerPlace = {
  server: new URL('https://kube.example:6443'),
  isInCluster: false,
  proxy: undefined,
};

const proxyAt = (host: string): HTTPProxy => new HTTPProxy(new URL(`http://${host}:3128`), undefined);

interface Ways {
  readonly sts: string | undefined;
  readonly apiServer: string | undefined;
}

function ways(environment: Record<string, string>, place: APIServerPlace, flags: Partial<EgressFlags> = {}): Ways {
  const egress = planEgress({ ...NO_FLAGS, ...flags }, environment, place);
  return { sts: egress.sts(STS)?.hostAndPort, apiServer: egress.apiServer(place.server)?.hostAndPort };
}

describe('the way to STS', () => {
  const CASES: readonly (readonly [what: string, environment: Record<string, string>, sts: string | undefined])[] = [
    ['nothing', {}, undefined],
    ['HTTPS_PROXY', { HTTPS_PROXY: 'http://up:1' }, 'up:1'],
    ['https_proxy', { https_proxy: 'http://low:1' }, 'low:1'],
    ['both, upper case wins', { HTTPS_PROXY: 'http://up:1', https_proxy: 'http://low:1' }, 'up:1'],
    ['an empty one counts as none', { HTTPS_PROXY: '', https_proxy: 'low:1' }, 'low:1'],
    [
      'HTTP_PROXY and ALL_PROXY mean nothing',
      { HTTP_PROXY: 'http://p:1', http_proxy: 'p:1', ALL_PROXY: 'p:1' },
      undefined,
    ],
    ['NO_PROXY', { HTTPS_PROXY: 'up:1', NO_PROXY: 'amazonaws.com' }, undefined],
    ['no_proxy', { HTTPS_PROXY: 'up:1', no_proxy: '*' }, undefined],
    ['upper case of NO_PROXY wins', { HTTPS_PROXY: 'up:1', NO_PROXY: 'a.example', no_proxy: '*' }, 'up:1'],
  ];
  for (const [what, environment, sts] of CASES) {
    test(`by the environment: ${what}`, () => {
      assert.equal(ways(environment, POD).sts, sts);
    });
  }

  test('is the flag, before an environment that is not even read', () => {
    const environment = { HTTPS_PROXY: 'socks5://up:1', NO_PROXY: '*' };
    const flags = { httpsProxy: proxyAt('flag'), noProxy: new NoProxy('.internal') };
    assert.equal(ways(environment, POD, flags).sts, 'flag:3128');
    assert.equal(ways({ HTTPS_PROXY: 'up:1' }, POD, { noProxy: new NoProxy('*') }).sts, undefined);
  });

  test('is refused in a sentence that names the variable and holds nothing secret', () => {
    for (const [name, value] of [
      ['HTTPS_PROXY', 'socks5://hunter:hunter2@up:1'],
      ['https_proxy', 'https://hunter:hunter2@up:1'],
      ['HTTPS_PROXY', 'http://hunter:hunter2@'],
    ] as const) {
      assert.throws(
        () => ways({ [name]: value }, POD),
        (error) => {
          assert.ok(error instanceof EgressError);
          assert.match(error.message, new RegExp(`^${name} in the environment: .*--https-proxy`));
          assert.doesNotMatch(error.message, /hunter/);
          return true;
        },
      );
    }
  });
});

describe('the way to the API server', () => {
  test('of our own pod is direct, whatever the environment says', () => {
    assert.deepEqual(ways({ HTTPS_PROXY: 'up:1' }, POD), { sts: 'up:1', apiServer: undefined });
  });

  test('of our own pod is the proxy when that is asked for, and NO_PROXY excepts it', () => {
    const flags = { inClusterProxy: true };
    assert.equal(ways({ HTTPS_PROXY: 'up:1' }, POD, flags).apiServer, 'up:1');
    assert.equal(ways({ HTTPS_PROXY: 'up:1', NO_PROXY: '10.96.0.0/12' }, POD, flags).apiServer, undefined);
  });

  test('of a kubeconfig is what kubectl does: the environment, but for NO_PROXY', () => {
    assert.equal(ways({ HTTPS_PROXY: 'up:1' }, KUBECONFIG).apiServer, 'up:1');
    assert.equal(ways({ HTTPS_PROXY: 'up:1', NO_PROXY: 'kube.example' }, KUBECONFIG).apiServer, undefined);
  });

  test('of a kubeconfig with proxy-url is that proxy, without exceptions, and STS has nothing to do with it', () => {
    const place = { ...KUBECONFIG, proxy: proxyAt('own') };
    assert.deepEqual(ways({ NO_PROXY: '*' }, place), { sts: undefined, apiServer: 'own:3128' });
    assert.deepEqual(ways({ HTTPS_PROXY: 'up:1' }, place), { sts: 'up:1', apiServer: 'own:3128' });
  });
});

describe('what is told of it', () => {
  test('is nothing without a proxy', () => {
    const { summary, ignored } = planEgress(NO_FLAGS, { NO_PROXY: '10.*' }, POD);
    assert.deepEqual([summary, ignored], [undefined, []]);
  });

  test('is both ways, without the password, and the items of NO_PROXY that mean nothing', () => {
    const environment = { HTTPS_PROXY: 'http://hunter:hunter2@up:1', NO_PROXY: '10.*,.svc' };
    const { summary, ignored } = planEgress(NO_FLAGS, environment, POD);
    assert.deepEqual(summary, { sts: 'through the proxy up:1, but for what is excepted', apiServer: 'directly' });
    assert.deepEqual(ignored, ['10.*']);
  });
});
