// Shows that an operator whose own token ends, or whose issuer signs with another key, goes on by itself: the file is read
// again, a token that STS does not take yet is no reason to give up, and nothing is exchanged for either.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServerCredentials } from '../../src/kube/connection.ts';
import { type FaultOperator, operatorToken, useFaultBed } from '../support/fault-operator.ts';
import { tellFault } from '../support/fault-report.ts';
import { lateness } from '../support/secret-reader.ts';

describe('an operator', { timeout: 60_000 }, () => {
  const suite = useFaultBed({ maxSessionSeconds: 900 });

  async function startWith(file: { token: string }): Promise<FaultOperator> {
    const read = (): Promise<ServerCredentials> =>
      Promise.resolve({ authorization: `Bearer ${file.token}`, tls: { ca: suite.bed.sandbox.caPEM } });
    return await suite.start({ read });
  }

  const refusals = (from: number): number =>
    suite.bed.sandbox.apiServer.requestLog.slice(from).filter(({ status }) => status === 401).length;

  test('whose token has expired reads the next one, and needs no restart', async () => {
    const { bed } = suite;
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

  test('whose token was replaced only after it had expired recovers with the first call after that', async (context) => {
    const { bed } = suite;
    const file = { token: await operatorToken(bed, 300) };
    const operator = await startWith(file);
    const scene = await bed.scene();
    await scene.issued();
    const reader = scene.reader();
    const from = bed.sandbox.apiServer.requestLog.length;
    await bed.skipTo(scene.refreshTimeMs() + 60_000);
    assert.ok(refusals(from) > 0, 'the old token was refused');
    assert.ok(refusals(from) < 100, `${refusals(from)} calls with it were bounded`);
    assert.equal(scene.seen().sts.length, 0);
    const refused = refusals(from);
    file.token = await operatorToken(bed);
    const endedMs = bed.clock.now();
    await bed.clock.skip(65_000, 250);
    await bed.until('a refresh', () => scene.seen().sts.length === 1);
    await scene.quiet();
    await reader.look();
    await reader.assertNeverExpired();
    tellFault(context, {
      fault: "operator's token expired",
      bed: 'sandbox',
      did: `${refused} refused calls while the file held the old token, a refresh due for 60 s of them; then 1 exchange`,
      lateMs: lateness(reader.replacedAtMs, endedMs),
      seen: reader.describe(),
    });
    await scene.delete();
    assert.equal(await operator.stop(), 'stopped');
  });

  for (const forgetOld of [false, true]) {
    test(`whose issuer signs with another key${forgetOld ? ' and has forgotten the old one' : ''} exchanges tokens of that key`, async (context) => {
      const { bed } = suite;
      const file = { token: await operatorToken(bed) };
      const operator = await startWith(file);
      const scene = await bed.scene();
      await scene.issued();
      const reader = scene.reader();
      bed.sandbox.apiServer.tokens.rotateKey({ forgetOld });
      if (forgetOld) file.token = await operatorToken(bed);
      await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'rotated' });
      const dueMs = bed.clock.now();
      await bed.clock.skip(2_000, 250);
      await bed.until('the refresh', () => scene.credential()?.status?.lastHandledRefreshRequest === 'rotated');
      await scene.quiet();
      assert.deepEqual(
        scene.seen().sts.map(({ outcome }) => outcome),
        ['Issued'],
      );
      await reader.look();
      await reader.assertNeverExpired();
      tellFault(context, {
        fault: "issuer's signing key rotated",
        bed: 'sandbox',
        did: '1 exchange, with a token of the new key, for the refresh that was asked for at once; none refused',
        lateMs: lateness(reader.replacedAtMs, dueMs),
        seen: reader.describe(),
      });
      await scene.delete();
      assert.equal(await operator.stop(), 'stopped');
    });
  }
});
