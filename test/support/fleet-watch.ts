// Promises: what pods see of all Secrets of a namespace while the operator is replaced: it looks all the time, and keeps the least
// life that any of them ever had left, every access key that was ever in one, and how often one was away. Asserts nothing.
import type { ClusterClient } from './cluster-client.ts';
import { pairIn } from './secret-reader.ts';

/** What was seen until stop(). */
export interface FleetSeen {
  readonly looks: number;
  readonly leastLeftMs: number;
  /** Looks at which a Secret was missing that had been there before. */
  readonly absences: number;
  /** Every access key that was in a Secret. */
  readonly accessKeyIDs: ReadonlySet<string>;
  /** By name, the access key of the last look. */
  readonly last: ReadonlyMap<string, string>;
}

interface SecretList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly data?: Readonly<Record<string, string>>;
  }[];
}

const EVERY_MS = 200;

/** The subject of a ServiceAccount's token, without a look at its signature. */
export function subjectOf(token: string): string {
  const [, payload = ''] = token.split('.');
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub?: string }).sub ?? '';
}

/** Looks from now on at every Secret of the namespace that is a WorkloadCredential's. */
export function watchFleet(client: ClusterClient, namespace: string): { stop(): Promise<FleetSeen> } {
  const path = `/api/v1/namespaces/${namespace}/secrets?labelSelector=workloadcredentials.io%2Fname`;
  const accessKeyIDs = new Set<string>();
  const last = new Map<string, string>();
  let [looks, leastLeftMs, absences] = [0, Number.POSITIVE_INFINITY, 0];
  let stopped = false;
  const look = async (): Promise<void> => {
    const { items = [] } = (await client.get<SecretList>(path)) ?? {};
    const nowMs = Date.now();
    looks += 1;
    const names = new Set(items.map(({ metadata }) => metadata.name));
    for (const name of last.keys()) if (!names.has(name)) absences += 1;
    for (const { metadata, data = {} } of items) {
      const pair = pairIn(Buffer.from(data['credentials.json'] ?? '', 'base64').toString());
      if (pair === undefined) continue;
      accessKeyIDs.add(pair.accessKeyID);
      last.set(metadata.name, pair.accessKeyID);
      leastLeftMs = Math.min(leastLeftMs, pair.expirationMs - nowMs);
    }
  };
  const run = async (): Promise<void> => {
    while (!stopped) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    await look();
  };
  const ended = run();
  // Told by stop(), which a test that has failed before does not call.
  ended.catch(() => {});
  return {
    stop: async () => {
      stopped = true;
      await ended;
      return { looks, leastLeftMs, absences, accessKeyIDs, last };
    },
  };
}
