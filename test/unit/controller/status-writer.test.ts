// A status is written when it differs, on the object that it was computed from, and never on one that is gone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { writeStatus, type WrittenStatus } from '../../../src/controller/status-writer.ts';
import type { WorkloadCredential, WorkloadCredentialStatus } from '../../../src/api/types.gen.ts';
import { aCredential, aStatus } from '../../support/builders.ts';
import { FakeKubeApi, kubeError } from '../../support/fake-kube-api.ts';

const STATUS = 'patch workloadcredentials/status';

function bench(credential: WorkloadCredential = aCredential({ status: aStatus() })) {
  const api = new FakeKubeApi();
  api.credential = credential;
  const computedFrom: (WorkloadCredentialStatus | undefined)[] = [];
  const write = (change: Partial<WorkloadCredentialStatus>): Promise<WrittenStatus | undefined> =>
    writeStatus(
      api,
      credential,
      (previous) => {
        computedFrom.push(previous);
        return { status: { ...previous, ...change }, isCounted: false, events: [] };
      },
      { signal: new AbortController().signal },
    );
  const change = (metadata: Partial<WorkloadCredential['metadata']>, status = credential.status): void => {
    api.credential = {
      ...credential,
      metadata: { ...credential.metadata, resourceVersion: '101', ...metadata },
      ...(status === undefined ? {} : { status }),
    };
  };
  return { api, write, change, computedFrom };
}

describe('a status', () => {
  test('that does not differ is not written', async () => {
    const { api, write } = bench();
    assert.equal((await write({}))?.resourceVersion, undefined);
    assert.deepEqual(api.log, []);
  });

  test('that differs is written once, and tells the new resourceVersion', async () => {
    const { api, write } = bench();
    const written = await write({ accessKeyID: 'ASIAANOTHER' });
    assert.equal(api.credential?.status?.accessKeyID, 'ASIAANOTHER');
    assert.equal(written?.resourceVersion, api.credential?.metadata.resourceVersion);
    assert.deepEqual(api.log, [STATUS]);
  });

  test('is computed anew on the live object after a conflict', async () => {
    const { api, write, change, computedFrom } = bench();
    change({}, aStatus({ consecutiveFailures: 3 }));
    await write({ accessKeyID: 'ASIAANOTHER' });
    assert.deepEqual(api.log, [STATUS, 'get workloadcredentials', STATUS]);
    assert.equal(computedFrom.at(-1)?.consecutiveFailures, 3);
    assert.equal(api.credential?.status?.consecutiveFailures, 3);
  });

  test('that the live object has already is not written again', async () => {
    const { api, write, change } = bench();
    change({}, aStatus({ accessKeyID: 'ASIAANOTHER' }));
    assert.equal((await write({ accessKeyID: 'ASIAANOTHER' }))?.resourceVersion, undefined);
    assert.deepEqual(api.log, [STATUS, 'get workloadcredentials']);
  });

  test('that conflicts three times is left to the queue', async () => {
    const { api, write, change } = bench();
    let version = 200;
    for (let tries = 0; tries < 3; tries += 1) {
      api.next(STATUS, 'before', () => {
        version += 1;
        change({ resourceVersion: `${version}` });
      });
      if (tries < 2) api.next('get workloadcredentials', 'before', () => undefined);
    }
    await assert.rejects(write({ accessKeyID: 'ASIAANOTHER' }), /409/);
    assert.equal(api.log.filter((operation) => operation === STATUS).length, 3);
  });

  test('of a resource that is gone is none', async () => {
    const { api, write } = bench();
    api.credential = undefined;
    assert.equal(await write({ accessKeyID: 'ASIAANOTHER' }), undefined);
    assert.deepEqual(api.log, [STATUS]);
  });

  for (const [what, metadata] of [
    ['another resource of that name', { uid: 'another' }],
    ['a resource that is going', { deletionTimestamp: '2026-11-22T12:00:00Z' }],
  ] as const) {
    test(`is not written on ${what}`, async () => {
      const { api, write, change } = bench();
      change(metadata);
      assert.equal(await write({ accessKeyID: 'ASIAANOTHER' }), undefined);
      assert.deepEqual(api.log, [STATUS, 'get workloadcredentials']);
    });
  }

  test('of a resource that goes between the conflict and the look is none', async () => {
    const { api, write, change } = bench();
    change({});
    api.next('get workloadcredentials', 'before', () => {
      api.credential = undefined;
    });
    assert.equal(await write({ accessKeyID: 'ASIAANOTHER' }), undefined);
  });

  test('that the API server refuses is an error', async () => {
    for (const operation of [STATUS, 'get workloadcredentials']) {
      const { api, write, change } = bench();
      change({});
      api.next(operation, 'before', () => {
        throw kubeError(500, operation);
      });
      await assert.rejects(write({ accessKeyID: 'ASIAANOTHER' }), /500/);
    }
  });
});
