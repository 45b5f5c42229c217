// Where the API server is: a pod's files and kubeconfigs, and the sentences for those that are wrong.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inClusterIdentity, readInClusterNamespace } from '../../../src/kube/in-cluster.ts';
import { kubeconfigIdentity } from '../../../src/kube/kubeconfig.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'identity-'));
});
after(() => rm(directory, { recursive: true }));

async function put(name: string, content: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

function config(user: string, cluster = 'certificate-authority-data: Q0E='): string {
  return `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://api.example:6443", ${cluster}}}]
users:
- name: u
  user:
    ${user}
contexts: [{name: t, context: {cluster: c, user: u}}, {name: lost, context: {cluster: c, user: nobody}}, {name: away, context: {cluster: none, user: u}}]
current-context: t
`;
}

describe('inClusterIdentity', () => {
  it('reads token and certificate authority, each time anew', async () => {
    await put('sa/token', 'one\n');
    await put('sa/ca.crt', 'CA');
    await put('sa/namespace', 'operators\n');
    const identity = inClusterIdentity({ host: '10.0.0.1', port: '443', directory: join(directory, 'sa') });
    assert.equal(identity.server.href, 'https://10.0.0.1/');
    assert.deepEqual(await identity.read(false), { authorization: 'Bearer one', tls: { ca: 'CA' } });
    await put('sa/token', 'two');
    assert.equal((await identity.read(false)).authorization, 'Bearer two');
    assert.equal(await readInClusterNamespace(join(directory, 'sa')), 'operators');
  });

  it('writes an IPv6 host in brackets', () => {
    assert.equal(inClusterIdentity({ host: 'fd00::1', port: '6443' }).server.href, 'https://[fd00::1]:6443/');
  });

  it('says that it does not run in a pod', () => {
    for (const [host, port] of [
      ['', '443'],
      ['10.0.0.1', ''],
      ['10.0.0.1', 'x'],
    ] as const) {
      assert.throws(() => inClusterIdentity({ host, port }), /KUBERNETES_SERVICE_HOST.*pass --kubeconfig/);
    }
  });

  it('names a file that is missing, empty or no token, and never its content', async () => {
    const identity = inClusterIdentity({ host: '10.0.0.1', port: '443', directory: join(directory, 'bad') });
    await assert.rejects(
      identity.read(false),
      /cannot read .*bad\/(token|ca\.crt) \(ENOENT\): mount the ServiceAccount's token/,
    );
    await put('bad/ca.crt', 'CA');
    await put('bad/token', ' \n');
    await assert.rejects(identity.read(false), /bad\/token is empty/);
    await put('bad/token', 'two words\nsecret');
    await assert.rejects(identity.read(false), (error: Error) => {
      assert.match(error.message, /bad\/token does not hold a token/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
});

describe('kubeconfigIdentity', () => {
  const read = async (content: string, context?: string) => {
    const path = await put('kubeconfig', content);
    const identity = await kubeconfigIdentity({ path, ...(context === undefined ? {} : { context }) });
    return { identity, credentials: await identity.read(false) };
  };

  it('reads server, certificate authority and token', async () => {
    const { identity, credentials } = await read(config('token: abc'));
    assert.equal(identity.server.href, 'https://api.example:6443/');
    assert.deepEqual(credentials, { authorization: 'Bearer abc', tls: { ca: 'CA' } });
  });

  it('reads client certificates from data and from files beside it, and the name to expect', async () => {
    await put('client.crt', 'CERT');
    const user = 'client-certificate: client.crt\n    client-key-data: S0VZ';
    const { credentials } = await read(config(user, 'tls-server-name: inner, certificate-authority-data: Q0E='));
    assert.deepEqual(credentials, { tls: { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'inner' } });
  });

  it('reads a tokenFile beside it, each time anew, in any notation', async () => {
    for (const line of ['tokenFile: tok', 'tokenFile: "tok"', "tokenFile: 'tok'"]) {
      await put('tok', 'first\n');
      const { identity, credentials } = await read(config(line));
      assert.equal(credentials.authorization, 'Bearer first');
      await put('tok', 'second');
      assert.equal((await identity.read(false)).authorization, 'Bearer second');
    }
  });

  it('follows a kubeconfig that is written anew', async () => {
    const { identity } = await read(config('token: abc'));
    await put('kubeconfig', config('token: def'));
    assert.equal((await identity.read(false)).authorization, 'Bearer def');
  });

  it('runs an exec plugin once, and again only when the API server refused its token', async () => {
    const counter = await put('count', '');
    const script = `process.stdout.write(JSON.stringify({status:{token:'t'+require('fs').appendFileSync('${counter}','x')+require('fs').readFileSync('${counter}','utf8').length}}))`;
    const exec = JSON.stringify({
      apiVersion: 'client.authentication.k8s.io/v1',
      command: process.execPath,
      args: ['-e', script],
    });
    const { identity, credentials } = await read(config(`exec: ${exec}`));
    assert.equal(credentials.authorization, 'Bearer tundefined1');
    assert.equal((await identity.read(false)).authorization, 'Bearer tundefined1');
    assert.equal((await identity.read(true)).authorization, 'Bearer tundefined2');
  });

  it('names an exec plugin that fails and not what it wrote', async () => {
    const exec = JSON.stringify({
      command: process.execPath,
      args: ['-e', 'console.error("hunter2");process.exit(1)'],
    });
    await assert.rejects(read(config(`exec: ${exec}`)), (error: Error) => {
      assert.match(error.message, /kubeconfig .*: its exec plugin ".*" failed; run the command by hand/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });

  const problems: [string, string, RegExp, string?][] = [
    [
      'unverified TLS',
      config('token: abc', 'insecure-skip-tls-verify: true'),
      /insecure-skip-tls-verify is set.*set certificate-authority/,
    ],
    [
      'a SOCKS proxy',
      config('token: abc', 'proxy-url: socks5://hunter:hunter2@p'),
      /proxy-url: it is a socks5:\/\/ URL, and SOCKS is not supported; give the URL of an HTTP proxy/,
    ],
    ['a proxy over TLS', config('token: abc', 'proxy-url: https://p'), /proxy-url: .*TLS to the proxy itself/],
    [
      'a proxy in front of a server in the clear',
      config('token: abc', 'proxy-url: http://p').replace('https://api.example:6443', 'http://127.0.0.1:8001'),
      /a server of http:\/\/ stands behind a proxy-url/,
    ],
    [
      'an unknown context',
      config('token: abc'),
      /has no context "nope"; set current-context to one that the file has/,
      'nope',
    ],
    ['an unknown user', config('token: abc'), /context "lost" names a user that is not in the file/, 'lost'],
    ['an unknown cluster', config('token: abc'), /context "away" names a cluster that is not in the file/, 'away'],
    [
      'a cluster without server',
      'clusters: [{name: c, cluster: {}}]',
      /clusters\[0\]\.cluster\.server is missing; add it/,
    ],
    ['an empty file', '', /is not a valid kubeconfig; check it with `kubectl config view/],
    ['no context at all', 'clusters: []', /has no context ""/],
    ['a token file that is missing', config('tokenFile: missing'), /its tokenFile cannot be read \(ENOENT\)/],
    [
      'a key that is missing',
      config('client-certificate: nope.crt\n    client-key: nope.key'),
      /cannot be read \(ENOENT\)/,
    ],
    ['a server in the clear', config('token: abc').replace('https:', 'http:'), /cluster\.server uses http:/],
  ];
  for (const [what, content, sentence, context] of problems) {
    it(`names ${what} and the fix`, async () => {
      await assert.rejects(read(content, context), (error: Error) => {
        assert.equal(error.name, 'ServerConfigError');
        assert.match(error.message, sentence);
        assert.doesNotMatch(error.message, /hunter/);
        return true;
      });
    });
  }

  it("gives the cluster's proxy-url, with its password for the proxy alone", async () => {
    const { identity } = await read(config('token: abc', 'proxy-url: http://user:hunter2@proxy:3128'));
    assert.deepEqual([identity.proxy?.hostAndPort, identity.proxy?.hasCredentials], ['proxy:3128', true]);
    assert.ok(!JSON.stringify(identity).includes('hunter2'));
    assert.equal((await read(config('token: abc'))).identity.proxy, undefined);
  });

  it('does not repeat a line of a file that is not YAML', async () => {
    await assert.rejects(read('users:\n- token: hunter2\n  : : {'), (error: Error) => {
      assert.match(error.message, /is not a valid kubeconfig/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });

  it('names a file that cannot be read', async () => {
    const path = join(directory, 'nowhere');
    await assert.rejects(
      kubeconfigIdentity({ path }),
      /nowhere: cannot be read \(ENOENT\); pass the path.*--kubeconfig/,
    );
  });
});
