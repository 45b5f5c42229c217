// Promises: a sandbox with one ServiceAccount for the tests of its STS servers, on a clock that tests may move.
import { systemClock } from '../../src/runtime/clock.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';

/** The ServiceAccount that the scene has. */
export const SUBJECT = 'system:serviceaccount:default:orders';

export interface STSScene {
  readonly sandbox: Sandbox;
  /** The sandbox's clock is the machine's, moved by this much. */
  readonly time: { offsetMs: number };
  /** A token of the ServiceAccount. */
  token(audience: string, name?: string): Promise<string>;
}

/** A token's payload with other claims, under the same signature. */
export function withClaims(token: string, claims: object): string {
  const [head, payload = '', signature] = token.split('.');
  const old = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
  return `${head}.${Buffer.from(JSON.stringify({ ...old, ...claims })).toString('base64url')}.${signature}`;
}

/** The token with another first character of its signature. */
export function withOtherSignature(token: string): string {
  const [head, payload, signature = ''] = token.split('.');
  return `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
}

/** Starts it. */
export async function openSTSScene(): Promise<STSScene> {
  const time = { offsetMs: 0 };
  const sandbox = await startSandbox({ clock: { ...systemClock, now: () => systemClock.now() + time.offsetMs } });
  for (const name of ['orders', 'other']) {
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'default' } });
  }
  return {
    sandbox,
    time,
    token: (audience, name = 'orders') => sandbox.mintToken('default', name, { audiences: [audience] }),
  };
}
