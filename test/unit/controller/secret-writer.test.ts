// The races of a Secret's write: who was faster, what was lost on the way, and what must never be overwritten.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { OwnerReference, Secret } from '../../../src/api/meta.ts';
import type { ExistingSecret } from '../../../src/controller/existing-secret.ts';
import { type WrittenSecret, SecretWriter } from '../../../src/controller/secret-writer.ts';
import { sharedInCached } from '../../../src/credential/adoption.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import type { WantedSecret } from '../../../src/render/secret.ts';
import {
  anAdopted,
  anOffered,
  aSecret,
  MINUTE,
  NAME,
  NAMESPACE,
  T0,
  UID,
  unowned,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';
import { FakeKubeApi, kubeError } from '../../support/fake-kube-api.ts';

const LATER = T0 + 40 * MINUTE;

/** The wanted Secret that makes the given one. */
function wantedOf(secret: Secret): WantedSecret {
  const { labels = {}, annotations = {}, ownerReferences } = secret.metadata;
  const [owner] = ownerReferences ?? [];
  assert.ok(owner !== undefined);
  return {
    namespace: NAMESPACE,
    name: NAME,
    labels,
    annotations,
    owner,
    owned: true,
    shares: false,
    data: secret.data ?? {},
  };
}

/** The wanted Secret that makes the given one of one that was handed over. */
function wantedOfAdopted(adopted: Secret): WantedSecret {
  const { theirs: _theirs, ...data } = adopted.data ?? {};
  const { labels: _labels, ...wanted } = wantedOf(withMetadata(adopted, { ownerReferences: ownersOf(aSecret()) }));
  return { ...wanted, labels: { 'workloadcredentials.io/name': NAME }, owned: false, shares: true, data };
}

function ownersOf({ metadata }: Secret): readonly OwnerReference[] {
  return metadata.ownerReferences ?? [];
}

const WANTED = wantedOf(aSecret({ issueTimeMs: LATER }));

/** The Secret as a cache would tell it now. */
function seenOf({ secret }: FakeKubeApi): ExistingSecret | undefined {
  return secret === undefined ? undefined : { metadata: secret.metadata };
}

function bench(existing?: Secret) {
  const api = new FakeKubeApi();
  if (existing !== undefined) api.put(existing);
  const seen = seenOf(api);
  let asked = 0;
  const writer = new SecretWriter({ api, assertLeading: () => void (asked += 1), now: () => LATER });
  const write = (existing: ExistingSecret | undefined = seen): Promise<WrittenSecret> =>
    writer.write(WANTED, existing, 'replace', { signal: new AbortController().signal });
  return { api, write, writer, asked: () => asked };
}

function foreign(): Secret {
  return { metadata: { name: NAME, namespace: NAMESPACE }, data: { theirs: 'eA==' } };
}

function hasCode(code: string) {
  return (error: unknown): boolean => error instanceof CredentialError && error.code === code;
}

function assertWritten(api: FakeKubeApi, written: WrittenSecret): void {
  assert.deepEqual(api.secret?.data, WANTED.data);
  assert.equal(written.uid, api.secret?.metadata.uid);
  assert.equal(written.resourceVersion, api.secret?.metadata.resourceVersion);
  assert.equal(api.pending, 0);
}

describe('a write', () => {
  test('is one POST where there is no Secret', async () => {
    const { api, write } = bench();
    assertWritten(api, await write());
    assert.deepEqual(api.log, ['create secrets']);
  });

  test('is one PATCH where there is one', async () => {
    const { api, write } = bench(aSecret());
    assertWritten(api, await write());
    assert.deepEqual(api.log, ['patch secrets']);
  });

  test('is no call where nothing would change', async () => {
    const api = new FakeKubeApi();
    const { metadata } = api.put(aSecret({ issueTimeMs: LATER }));
    const writer = new SecretWriter({ api, assertLeading: () => undefined, now: () => LATER });
    const written = await writer.write(WANTED, { metadata }, 'keep', { signal: new AbortController().signal });
    assert.deepEqual(api.log, []);
    assert.equal(written.resourceVersion, metadata.resourceVersion);
  });

  test('is not made by who has lost the Lease', async () => {
    const api = new FakeKubeApi();
    const lost = new Error('not leading');
    const writer = new SecretWriter({
      api,
      assertLeading: () => {
        throw lost;
      },
      now: () => LATER,
    });
    await assert.rejects(writer.write(WANTED, undefined, 'replace', { signal: new AbortController().signal }), lost);
    assert.deepEqual(api.log, []);
  });

  test('asks before each try whether this replica leads', async () => {
    const { api, write, asked } = bench(aSecret());
    api.next('patch secrets', 'before', () => void api.put(api.secret ?? aSecret()));
    await write();
    assert.equal(asked(), 2);
  });

  test('passes on what is no race, such as 403 and a lost connection', async () => {
    for (const status of [403, 500, 0]) {
      const { api, write } = bench(aSecret());
      const error = kubeError(status, 'patch secrets');
      api.next('patch secrets', 'before', () => {
        throw error;
      });
      await assert.rejects(write(), error);
      assert.deepEqual(api.log, ['patch secrets']);
    }
  });
});

describe('a race', () => {
  test('with ourselves: the Secret has our credential already, so it is left as it is', async () => {
    const { api, write } = bench();
    api.put(aSecret({ issueTimeMs: LATER }));
    const written = await write();
    assertWritten(api, written);
    assert.deepEqual(api.log, ['create secrets', 'get secrets metadata', 'get secrets']);
  });

  test('with ourselves: a PATCH whose answer was lost is found done', async () => {
    const { api, write } = bench(aSecret());
    const stale = seenOf(api);
    api.put(aSecret({ issueTimeMs: LATER }));
    assertWritten(api, await write(stale));
    assert.deepEqual(api.log, ['patch secrets', 'get secrets metadata', 'get secrets']);
  });

  test('with somebody who edited our Secret: it is written over what is there now', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => {
      api.put(withMetadata(aSecret(), { labels: { 'example.com/theirs': 'stays' } }));
    });
    assertWritten(api, await write());
    assert.equal(api.secret?.metadata.labels?.['example.com/theirs'], 'stays');
    assert.deepEqual(api.log, ['patch secrets', 'get secrets metadata', 'get secrets', 'patch secrets']);
  });

  test('with somebody whose Secret has the same content-hash but other data: it is written over', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => {
      api.put({ ...aSecret({ issueTimeMs: LATER }), data: { 'credentials.json': 'e30=' } });
    });
    assertWritten(api, await write());
  });

  test('with somebody who deleted it: it is created', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => {
      api.secret = undefined;
    });
    assertWritten(api, await write());
    assert.deepEqual(api.log, ['patch secrets', 'get secrets metadata', 'create secrets']);
  });

  test('with somebody who deleted it between the two looks: it is created', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => void api.put(aSecret()));
    api.next('get secrets metadata', 'after', () => {
      api.secret = undefined;
    });
    assertWritten(api, await write());
    assert.equal(api.log.at(-1), 'create secrets');
  });

  test('with somebody who created another Secret of that name: theirs is left alone and never read', async () => {
    const { api, write } = bench();
    api.next('create secrets', 'before', () => void api.put(foreign()));
    await assert.rejects(write(), hasCode('SecretConflict'));
    assert.deepEqual(api.secret?.data, foreign().data);
    assert.deepEqual(api.log, ['create secrets', 'get secrets metadata']);
  });

  test('with the collector: a Secret that is being deleted is waited for', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => {
      api.put(withMetadata(aSecret(), { deletionTimestamp: '2026-11-22T12:00:00Z' }));
    });
    await assert.rejects(write(), hasCode('SecretTerminating'));
  });

  test('that is lost three times in a row is left to the queue', async () => {
    const { api, write } = bench(aSecret());
    for (let tries = 0; tries < 3; tries += 1) {
      api.next('patch secrets', 'before', () => void api.put(aSecret()));
    }
    await assert.rejects(write(), /409/);
    assert.equal(api.log.filter((operation) => operation === 'patch secrets').length, 3);
  });

  test('whose look fails is told as that failure', async () => {
    const { api, write } = bench(aSecret());
    api.next('patch secrets', 'before', () => void api.put(aSecret()));
    api.next('get secrets metadata', 'before', () => {
      throw kubeError(503, 'get secrets');
    });
    await assert.rejects(write(), /503/);
  });
});

describe('a race of a repair, which leaves the data alone', () => {
  const intact = aSecret({ issueTimeMs: LATER });
  const drifted = withMetadata(intact, { labels: {} });

  /** A repair of a Secret that has lost its labels, while somebody else does `what`. */
  async function repairWhile(what: (api: FakeKubeApi) => void): Promise<FakeKubeApi> {
    const { api } = bench(drifted);
    const seen = seenOf(api);
    api.next('patch secrets', 'before', () => what(api));
    const writer = new SecretWriter({ api, assertLeading: () => undefined, now: () => LATER });
    assertWritten(api, await writer.write(WANTED, seen, 'keep', { signal: new AbortController().signal }));
    return api;
  }

  test('with somebody who damages the data meanwhile: they are put back, and never taken for verified', async () => {
    await repairWhile((api) => void api.put({ ...drifted, data: { 'credentials.json': 'e30=' } }));
  });

  test('with somebody who changed something else: the repair is made all the same', async () => {
    const api = await repairWhile((other) => void other.put(drifted));
    assert.deepEqual(api.secret?.metadata.labels, WANTED.labels);
  });
});

describe('an immutable Secret', () => {
  test('of ours is deleted with preconditions and created anew, with the credential in hand', async () => {
    const { api, write } = bench({ ...aSecret(), immutable: true });
    assertWritten(api, await write());
    assert.equal(api.secret?.immutable, undefined);
    assert.deepEqual(api.log.slice(-2), ['delete secrets', 'create secrets']);
  });

  test('that changes just before its deletion is not deleted', async () => {
    const { api, write } = bench({ ...aSecret(), immutable: true });
    api.next('delete secrets', 'before', () => void api.put(foreign()));
    await assert.rejects(write(), /409/);
    assert.deepEqual(api.secret?.data, foreign().data);
  });

  test('of somebody else is left alone', async () => {
    const { api, write } = bench({ ...foreign(), immutable: true });
    await assert.rejects(write(), hasCode('SecretConflict'));
    assert.ok(!api.log.includes('delete secrets'));
  });

  test('is not blamed for another refusal of our Secret', async () => {
    const { api, write } = bench(aSecret());
    const error = kubeError(422, 'patch secrets');
    api.next('patch secrets', 'before', () => {
      throw error;
    });
    await assert.rejects(write(), error);
    assert.ok(!api.log.includes('delete secrets'));
  });

  test('is not blamed for a refused creation either', async () => {
    const { api, write } = bench();
    const error = kubeError(422, 'create secrets');
    api.next('create secrets', 'before', () => {
      throw error;
    });
    await assert.rejects(write(), error);
    assert.deepEqual(api.log, ['create secrets', 'get secrets metadata']);
  });
});

describe('a Secret that was handed over', () => {
  const wanted = wantedOfAdopted(anAdopted({ issueTimeMs: LATER }));

  /** One that holds an older credential, and a write of a newer one. */
  function adoptedBench(change: Partial<Secret> = {}) {
    const { api, writer } = bench({ ...anAdopted(), ...change });
    const seen = { metadata: api.secret?.metadata ?? { name: NAME }, shared: sharedInCached(anAdopted().metadata) };
    const write = (what: WantedSecret = wanted): Promise<WrittenSecret> =>
      writer.write(what, seen, 'replace', { signal: new AbortController().signal });
    return { api, write };
  }

  test('keeps what is not ours, in one PATCH', async () => {
    const { api, write } = adoptedBench();
    await write();
    assert.deepEqual(api.log, ['patch secrets']);
    assert.deepEqual(api.secret?.data, { ...anOffered().data, ...wanted.data });
  });

  test('keeps what its owner changed meanwhile', async () => {
    const { api, write } = adoptedBench();
    api.next('patch secrets', 'before', () => {
      const adopted = anAdopted();
      api.put({ ...adopted, data: { ...adopted.data, theirs: 'bmV3', more: 'eA==' } });
    });
    await write();
    assert.deepEqual(api.secret?.data, { theirs: 'bmV3', more: 'eA==', ...wanted.data });
  });

  test('is found done when the answer was lost', async () => {
    const { api, write } = adoptedBench();
    api.put(anAdopted({ issueTimeMs: LATER }));
    await write();
    assert.deepEqual(api.log, ['patch secrets', 'get secrets metadata', 'get secrets']);
  });

  test('is left alone when it was taken back meanwhile, and not read', async () => {
    const { api, write } = adoptedBench();
    const withdrawn = withAnnotations(anAdopted(), { 'workloadcredentials.io/adopt': undefined });
    api.next('patch secrets', 'before', () => void api.put(withdrawn));
    await assert.rejects(write(), hasCode('SecretConflict'));
    assert.deepEqual(api.secret?.data, withdrawn.data);
    assert.deepEqual(api.log, ['patch secrets', 'get secrets metadata']);
  });

  test('that turned out immutable is left alone, and never deleted', async () => {
    const { api, write } = adoptedBench({ immutable: true });
    await assert.rejects(write(), hasCode('SecretConflict'));
    assert.deepEqual(api.secret?.data, anAdopted().data);
    assert.ok(!api.log.includes('delete secrets'), api.log.join('\n'));
  });

  test('without room for our keys is told with both sizes', async () => {
    const { api, write } = adoptedBench();
    const theirs = Buffer.alloc(1_048_576).toString('base64');
    api.next('patch secrets', 'before', () => {
      api.put({ ...anAdopted(), data: { ...anAdopted().data, theirs } });
      throw kubeError(422, 'patch secrets');
    });
    await assert.rejects(write(), (error: unknown) => {
      assert.ok(hasCode('SecretWriteDenied')(error));
      assert.match(String(error), /has 1048576 bytes in keys of others, .* [0-9]+ bytes of this .* at most 1048576/);
      return true;
    });
    assert.ok(!api.log.includes('delete secrets'), api.log.join('\n'));
  });

  test('is not blamed for another refusal', async () => {
    const { api, write } = adoptedBench();
    const error = kubeError(422, 'patch secrets');
    api.next('patch secrets', 'before', () => {
      throw error;
    });
    await assert.rejects(write(), error);
  });

  test('and deleted meanwhile is not made by us in its shape', async () => {
    const { api, write } = adoptedBench();
    api.next('patch secrets', 'before', () => {
      api.secret = undefined;
    });
    await assert.rejects(write(), hasCode('KubernetesConflict'));
    assert.equal(api.secret, undefined);
  });

  test('while ours was to be created is not overwritten whole', async () => {
    const { api, writer } = bench();
    api.next('create secrets', 'before', () => void api.put(anOffered()));
    const write = writer.write(WANTED, undefined, 'replace', { signal: new AbortController().signal });
    await assert.rejects(write, hasCode('KubernetesConflict'));
    assert.deepEqual(api.secret?.data, anOffered().data);
  });

  test('and made ours whole meanwhile is not written as if it were not', async () => {
    const { api, write } = adoptedBench();
    api.next('patch secrets', 'before', () => void api.put(aSecret()));
    await assert.rejects(write(), hasCode('KubernetesConflict'));
    assert.deepEqual(api.secret?.data, aSecret().data);
  });
});

test('a Secret that Retain left without its owner reference is still ours', async () => {
  const { api, write } = bench();
  api.next('create secrets', 'before', () => void api.put(unowned(aSecret({ ownerUID: UID }))));
  assertWritten(api, await write());
});
