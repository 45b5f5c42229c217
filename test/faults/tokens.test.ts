// Shows that an operator whose own token ends, or whose issuer signs with another key, goes on by itself: the file is read
// again, a token that STS does not take yet is no reason to give up, and nothing is exchanged for either.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ServerCredentials } from '../../src/kube/connection.ts';
import { type FaultOperator, operatorToken, startFaultOperator } from '../support/fault-operator.ts';
import { type OperatorBed, startOperatorBed } from '../support/operator-bed.ts';

describe('an operator', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  const operators: FaultOperator[] = [];
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 900 });
  });
  after(async () => {
    await Promise.all(operators.map(async (operator) => await operator.stop()));
    await bed.stop();
  });

  async function startWith(file: { token: string }): Promise<FaultOperator> {
    const read = (): Promise<ServerCredentials> =>
      Promise.resolve({ authorization: `Bearer ${file.token}`, tls: { ca: bed.sandbox.caPEM } });
    const operator = await startFaultOperator(bed, { read });
    operators.push(operator);
    return operator;
  }

  const refusals = (from: number): number =>
    bed.sandbox.apiServer.requestLog.slice(from).filter(({ status }) => status === 401).length;

  test('whose token has expired reads the next one, and needs no restart', async () => {
    const file = { token: await operatorToken(bed, 600) };
    const operator = await startWith(file);
    const scene = await bed.scene();
    await scene.issued();
    // Longer than the token lives, shorter than the credential waits for its refresh, were it not asked for.
    await bed.clock.skip(300_000);
    file.token = await operatorToken(bed, 90_000);
    await bed.clock.skip(310_000);
    await bed.until('a refresh', () => scene.seen().sts.length === 1);
    await scene.quiet();
    assert.equal(scene.condition('Refreshed')?.reason, 'Issued');
    await scene.delete();
    assert.equal(await operator.stop(), 'stopped');
  });

  test('whose token was replaced only after it had expired recovers with the first call after that', async () => {
    const file = { token: await operatorToken(bed, 300) };
    const operator = await startWith(file);
    const scene = await bed.scene();
    await scene.issued();
    const from = bed.sandbox.apiServer.requestLog.length;
    await bed.skipTo(scene.refreshTimeMs() + 60_000);
    assert.ok(refusals(from) > 0, 'the old token was refused');
    assert.ok(refusals(from) < 100, `${refusals(from)} calls with it were bounded`);
    assert.equal(scene.seen().sts.length, 0);
    file.token = await operatorToken(bed);
    await bed.clock.skip(65_000);
    await bed.until('a refresh', () => scene.seen().sts.length === 1);
    await scene.quiet();
    await scene.delete();
    assert.equal(await operator.stop(), 'stopped');
  });

  for (const forgetOld of [false, true]) {
    test(`whose issuer signs with another key${forgetOld ? ' and has forgotten the old one' : ''} exchanges tokens of that key`, async () => {
      const file = { token: await operatorToken(bed) };
      const operator = await startWith(file);
      const scene = await bed.scene();
      await scene.issued();
      bed.sandbox.apiServer.tokens.rotateKey({ forgetOld });
      if (forgetOld) file.token = await operatorToken(bed);
      await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'rotated' });
      await bed.clock.skip(2_000, 250);
      await bed.until('the refresh', () => scene.credential()?.status?.lastHandledRefreshRequest === 'rotated');
      await scene.quiet();
      assert.deepEqual(
        scene.seen().sts.map(({ outcome }) => outcome),
        ['Issued'],
      );
      await scene.delete();
      assert.equal(await operator.stop(), 'stopped');
    });
  }
});
