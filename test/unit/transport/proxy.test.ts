// What a proxy's URL and a NO_PROXY list mean: tables. The cases of the list were compared with golang.org/x/net/http/httpproxy.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { HTTPProxy, NoProxy, parseProxy, readProxyFlag, routeThrough } from '../../../src/transport/proxy.ts';

function good(text: string): HTTPProxy {
  const parsed = parseProxy(text);
  assert.ok('proxy' in parsed, `${text}: ${JSON.stringify(parsed)}`);
  return parsed.proxy;
}

function problem(text: string): string {
  const parsed = parseProxy(text);
  assert.ok('problem' in parsed, `${text} was taken`);
  return parsed.problem;
}

describe("a proxy's URL", () => {
  const GOOD: readonly (readonly [text: string, hostAndPort: string])[] = [
    ['http://proxy.example:3128', 'proxy.example:3128'],
    ['http://proxy.example:3128/', 'proxy.example:3128'],
    ['HTTP://PROXY.example:3128', 'proxy.example:3128'],
    ['http://proxy.example', 'proxy.example:80'],
    ['http://proxy.example:80', 'proxy.example:80'],
    ['proxy.example:3128', 'proxy.example:3128'],
    ['proxy', 'proxy:80'],
    [' http://10.0.0.1:8080\n', '10.0.0.1:8080'],
    ['http://[fd00::1]:3128', '[fd00::1]:3128'],
    ['http://user:pass@proxy.example:3128', 'proxy.example:3128'],
    ['user:pass@proxy.example:3128', 'proxy.example:3128'],
  ];
  for (const [text, hostAndPort] of GOOD) {
    test(`${JSON.stringify(text)} is the proxy at ${hostAndPort}`, () => {
      const proxy = good(text);
      assert.deepEqual([proxy.hostAndPort, proxy.origin], [hostAndPort, `http://${hostAndPort}`]);
      assert.equal(proxy.hasCredentials, text.includes('@'));
    });
  }

  const BAD: readonly (readonly [text: string, says: RegExp])[] = [
    ['https://proxy.example:3128', /https:\/\/ URL, and TLS to the proxy itself is not supported/],
    ['socks5://proxy.example:1080', /socks5:\/\/ URL, and SOCKS is not supported/],
    ['socks5h://hunter:hunter2@proxy.example', /socks5h:\/\/ URL/],
    ['ftp://proxy.example', /scheme is not http/],
    ['http://', /no URL of a proxy/],
    ['http://proxy example', /no URL of a proxy/],
    ['http://proxy.example:0', /no URL of a proxy/],
    ['http://proxy.example:70000', /no URL of a proxy/],
    ['http://hunter:hunter2@', /no URL of a proxy/],
    ['http://proxy.example/path', /a path, a query or a fragment/],
    ['http://proxy.example?hunter2', /a path, a query or a fragment/],
    ['http://proxy.example#hunter2', /a path, a query or a fragment/],
    ['http://us%3Aer:hunter2@proxy.example', /cannot be sent/],
    ['http://user:%0d%0ahunter2@proxy.example', /cannot be sent/],
    ['http://user:%ffhunter2@proxy.example', /cannot be sent/],
  ];
  for (const [text, says] of BAD) {
    test(`${JSON.stringify(text)} is refused, and nothing secret of it repeated`, () => {
      const sentence = problem(text);
      assert.match(sentence, says);
      assert.doesNotMatch(sentence, /hunter/);
    });
  }

  test('has its user and password percent-encoded, and sends them as RFC 7617 says', () => {
    const headers = good('http://us%20er:p%40ss%3Aw%C3%B6rd@proxy.example').authorizationHeaders();
    const encoded = /^Basic (.*)$/.exec(headers['proxy-authorization'] ?? '')?.[1] ?? '';
    assert.equal(Buffer.from(encoded, 'base64').toString(), 'us er:p@ss:wörd');
    assert.deepEqual(good('http://proxy.example').authorizationHeaders(), {});
  });

  test('shows its password to nobody', () => {
    const proxy = good('http://user:hunter2@proxy.example');
    const encoded = Buffer.from('user:hunter2').toString('base64');
    const shown = [JSON.stringify(proxy), inspect(proxy, { depth: 9, showHidden: true })].join('\n');
    assert.doesNotMatch(shown, /hunter2/);
    assert.ok(!shown.includes(encoded));
  });

  test('on the command line has no password', () => {
    assert.equal(readProxyFlag('http://proxy.example:3128').proxy?.hostAndPort, 'proxy.example:3128');
    const { proxy, problem: sentence = '' } = readProxyFlag('http://hunter:hunter2@proxy.example:3128');
    assert.equal(proxy, undefined);
    assert.match(sentence, /proxy\.example:3128 has a user or password.*HTTPS_PROXY.*Secret/);
    assert.doesNotMatch(sentence, /hunter/);
  });
});

describe('NO_PROXY', () => {
  const TABLE: readonly (readonly [list: string, covered: readonly string[], not: readonly string[]])[] = [
    ['', [], ['https://example.com', 'https://10.0.0.1']],
    [' , ,', [], ['https://example.com']],
    ['*', ['https://example.com', 'https://10.0.0.1:6443', 'https://[fd00::1]'], []],
    ['a.example,*', ['https://b.example'], []],
    [
      'example.com',
      ['https://example.com', 'https://sts.example.com', 'https://a.b.example.com:8443', 'https://example.com.'],
      ['https://notexample.com', 'https://example.com.evil.net', 'https://com'],
    ],
    ['EXAMPLE.com.', ['https://sts.Example.COM'], ['https://example.org']],
    ['.example.com', ['https://sts.example.com'], ['https://example.com', 'https://notexample.com']],
    ['*.example.com', ['https://sts.example.com'], ['https://example.com']],
    ['.svc,.cluster.local', ['https://kubernetes.default.svc', 'https://x.svc.cluster.local'], ['https://svc']],
    ['com', ['https://example.com'], ['https://example.org']],
    ['example.com:8443', ['https://sts.example.com:8443'], ['https://sts.example.com']],
    ['example.com:443', ['https://sts.example.com'], ['https://sts.example.com:8443']],
    ['.example.com:443', ['https://sts.example.com'], ['https://example.com']],
    ['10.0.0.1', ['https://10.0.0.1', 'https://10.0.0.1:6443'], ['https://10.0.0.2', 'https://110.0.0.1']],
    ['10.0.0.1:6443', ['https://10.0.0.1:6443'], ['https://10.0.0.1']],
    ['10.0.0.0/8', ['https://10.255.0.1:6443'], ['https://11.0.0.1', 'https://10.example.com']],
    ['0.0.0.0/0', ['https://1.2.3.4'], ['https://example.com', 'https://[fd00::1]']],
    ['192.168.1.7/32', ['https://192.168.1.7'], ['https://192.168.1.8']],
    ['fd00::/8', ['https://[fd12:3456::1]:6443'], ['https://[fe80::1]', 'https://10.0.0.1']],
    ['fd00::1', ['https://[fd00::1]', 'https://[fd00:0:0::1]:6443'], ['https://[fd00::2]']],
    ['[fd00::1]', ['https://[fd00::1]:6443'], ['https://[fd00::2]']],
    ['[fd00::1]:6443', ['https://[fd00::1]:6443'], ['https://[fd00::1]']],
    ['a.example b.example\tc.example', ['https://a.example', 'https://b.example', 'https://c.example'], []],
    ['localhost,127.0.0.1,10.96.0.0/12,.svc', ['https://10.96.0.1', 'https://x.svc'], ['https://sts.amazonaws.com']],
  ];
  for (const [list, covered, not] of TABLE) {
    test(`${JSON.stringify(list)} covers ${covered.join(' ') || 'nothing'} and not ${not.join(' ') || '-'}`, () => {
      const noProxy = new NoProxy(list);
      assert.deepEqual(noProxy.unreadable, []);
      for (const url of covered) assert.equal(noProxy.covers(new URL(url)), true, url);
      for (const url of not) assert.equal(noProxy.covers(new URL(url)), false, url);
    });
  }

  const UNREADABLE = ['10.*', '10.', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '<local>', 'a..b', 'a.example:0', '/8'];
  for (const item of [...UNREADABLE, 'a.example:x', '*x', 'http://a.example', '[fd00::1', '-a.example', '.']) {
    test(`${item} means nothing, is named, and spoils no other item`, () => {
      const noProxy = new NoProxy(`${item},good.example`);
      assert.deepEqual(noProxy.unreadable, [item]);
      assert.equal(noProxy.covers(new URL('https://good.example')), true);
      assert.equal(noProxy.covers(new URL('https://10.0.0.1')), false);
    });
  }
});

test('an item that is a URL with a password is named without it', () => {
  assert.deepEqual(new NoProxy('http://user:hunter2@proxy.example:3128').unreadable, ['***@proxy.example:3128']);
});

describe('the route', () => {
  const proxy = good('http://proxy.example:3128');

  test('leads through the proxy, but for what is excepted', () => {
    const route = routeThrough(proxy, new NoProxy('.internal'));
    assert.equal(route(new URL('https://sts.eu-west-1.amazonaws.com')), proxy);
    assert.equal(route(new URL('https://sts.shop.internal')), undefined);
  });

  test('never leads to this machine through a proxy', () => {
    const route = routeThrough(proxy, undefined);
    for (const host of ['localhost:1', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1']) {
      assert.equal(route(new URL(`https://${host}`)), undefined, host);
    }
    assert.equal(route(new URL('https://localhost.example.com')), proxy);
  });

  test('is direct without a proxy', () => {
    assert.equal(routeThrough(undefined, undefined)(new URL('https://example.com')), undefined);
  });
});
