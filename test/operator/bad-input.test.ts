// Promises: what admission cannot see in a spec is told by a condition that names field, value and fix, on every cloud, before
// anything is minted, sent or written: a session policy that only looks like JSON, and a region that no region of the cloud
// can be. What admission does see is in test/fixtures/bad-specs.yaml.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { WorkloadCredentialSpec } from '../../src/api/types.gen.ts';
import { type OperatorBed, startOperatorBed } from '../support/operator-bed.ts';

const BLOCKS = {
  aws: { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1' },
  alibabaCloud: {
    roleARN: 'acs:ram::1234567890123456:role/orders',
    oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/cluster',
    region: 'cn-hangzhou',
  },
  volcengine: { roleTRN: 'trn:iam::2100000001:role/orders', region: 'cn-beijing' },
} as const;
type Field = keyof typeof BLOCKS;
const FIELDS = Object.keys(BLOCKS) as Field[];

/** Admission looks at the ends of it, and for the word. */
const BROKEN_POLICY = '{"Statement":[}';
/** Words joined by dashes, as admission asks for; on no cloud a region. */
const NO_REGION = 'mars-north';

describe('what admission cannot see', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  before(async () => {
    bed = await startOperatorBed();
    await bed.start();
  });
  after(async () => {
    await bed.stop();
  });

  for (const field of FIELDS) {
    for (const [what, change, reason, told] of [
      ['a session policy that is no JSON', { sessionPolicy: BROKEN_POLICY }, 'InvalidSpec', `sessionPolicy is "{`],
      ['a region of no cloud', { region: NO_REGION }, 'EndpointNotAllowed', `region is "${NO_REGION}"`],
    ] as const) {
      test(`spec.${field}: ${what} is Stalled ${reason}, and costs no call`, async () => {
        const scene = await bed.scene();
        const name = 'orders';
        const spec = { [field]: { ...BLOCKS[field], ...change } } as Partial<WorkloadCredentialSpec>;
        await scene.apply(spec, name);
        const { message } = await scene.until('Stalled', reason, name);
        assert.ok(message.startsWith(`spec.${field}.${told}`), message);
        assert.match(message, /: (use one JSON object with |write one such as )/);
        assert.equal(scene.condition('Ready', name)?.status, 'False');
        await scene.quiet();
        assert.equal(scene.seen().sts.length, 0);
        assert.deepEqual(
          scene.seen().calls.filter((call) => /secrets|token/.test(call)),
          [],
        );
      });
    }
  }
});
