// Promises: the cases by which any STS is judged from the outside: whether it gives a credential or refuses, for a good token
// and for each way in which a token can be wrong. Shared by the sandbox's three STS and by real ones, whose codes differ:
// those are the bed's own table. Knows no cloud's protocol.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Credential } from '../../src/credential/credentials.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../src/credential/errors.ts';
import { assertNothingSecret } from './sts-contract.ts';

/** What is wrong with what is presented. */
export type OutcomeMistake =
  | 'wrong subject'
  | 'wrong audience'
  | 'wrong issuer'
  | 'wrong signature'
  | 'expired'
  | 'unknown role';

/** What is presented to the STS. */
export interface Presented {
  readonly token: string;
  readonly role: string;
}

/** An STS with one role and the ServiceAccount that it trusts. */
export interface OutcomeBed {
  /** What the role trusts, or the same with one mistake in it. */
  present(mistake?: OutcomeMistake): Promise<Presented>;
  /** Through the operator's own provider; asks for an hour unless told otherwise, and no session may be longer. */
  exchange(presented: Presented, durationSeconds?: number): Promise<Credential>;
  /** Secret parts that the STS gave out so far, where the bed knows them. */
  readonly issuedSecrets: () => readonly string[];
  /** How the STS, or the cloud, words each mistake. */
  readonly codes: Readonly<Record<OutcomeMistake, ErrorCode>>;
}

const TITLES: Readonly<Record<OutcomeMistake, string>> = {
  'wrong subject': 'a token of a ServiceAccount that the role does not trust',
  'wrong audience': 'a token for another audience',
  'wrong issuer': 'a token of another issuer',
  'wrong signature': "a token whose signature is not the issuer's",
  expired: 'a token that has expired',
  'unknown role': 'a role that does not exist',
};

/** Registers the cases; inside a describe. */
export function outcomeCases(bed: OutcomeBed): void {
  test('outcome: a trusted token becomes a credential that lives an hour', async () => {
    const credential = await bed.exchange(await bed.present());
    const lifeMs = credential.expirationTimeMs - credential.issueTimeMs;
    assert.ok(Math.abs(lifeMs - 3_600_000) <= 60_000, `it lives ${lifeMs} ms`);
    const parts = [credential.accessKeyID, credential.secretAccessKey.reveal(), credential.sessionToken.reveal()];
    assert.equal(new Set(parts).size, 3);
    assert.ok(!parts.includes(''));
  });

  test('outcome: each exchange gives another credential', async () => {
    const [one, other] = [await bed.exchange(await bed.present()), await bed.exchange(await bed.present())];
    assert.notEqual(one.sessionToken.reveal(), other.sessionToken.reveal());
  });

  test('outcome: a session longer than may be is RequestRejected, not shortened in silence', async () => {
    const presented = await bed.present();
    const error = await refusalOf(bed, presented, 7200);
    assert.equal(error.code, 'RequestRejected', error.message);
  });

  for (const mistake of Object.keys(TITLES) as OutcomeMistake[]) {
    const code = bed.codes[mistake];
    test(`outcome: ${TITLES[mistake]} gets nothing: ${code}, ${ERRORS[code].disposition}`, async () => {
      const presented = await bed.present(mistake);
      const error = await refusalOf(bed, presented);
      assert.equal(error.code, code, error.message);
      // It is no outage: whoever has to mend it is told so, and is not asked again every few seconds.
      assert.ok(['denied', 'token'].includes(error.disposition), error.disposition);
      assert.ok(error.message.includes(presented.role), error.message);
      // The mistake is what it was refused for: without it the same bed still gives a credential.
      await bed.exchange(await bed.present());
    });
  }
}

async function refusalOf(bed: OutcomeBed, presented: Presented, durationSeconds?: number): Promise<CredentialError> {
  try {
    await bed.exchange(presented, durationSeconds);
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    assertNothingSecret(error, [presented.token, ...presented.token.split('.').slice(1), ...bed.issuedSecrets()]);
    return error;
  }
  return assert.fail('the exchange succeeded');
}
