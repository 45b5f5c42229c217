// Promises: a small JSON client of an API server for tests that read often: one kept connection, a bearer token, no retry.
// A status of 400 or more is an answer. Whoever stands for a person in a test uses kubectl instead.
import { Agent, request } from 'node:https';
import type { Condition, ObjectMeta } from '../../src/api/meta.ts';
import type { WorkloadCredentialStatus } from '../../src/api/types.gen.ts';

/** An answer's status and JSON body. */
export interface ClusterAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** A Secret, its data decoded. */
export interface SecretSeen {
  readonly metadata: ObjectMeta;
  readonly data: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

/** A WorkloadCredential, as far as tests look at it. */
export interface CredentialSeen {
  readonly metadata: ObjectMeta;
  readonly status: WorkloadCredentialStatus;
}

interface WireSecret {
  readonly metadata: ObjectMeta;
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

/** Where resources of our kind are. */
export function credentialsPath(namespace: string, name?: string): string {
  const all = `/apis/workloadcredentials.io/v1alpha1/namespaces/${namespace}/workloadcredentials`;
  return name === undefined ? all : `${all}/${name}`;
}

/** Speaks JSON with an API server. */
export class ClusterClient {
  readonly #server: URL;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(server: string, options: { readonly caPEM: string; readonly token: string }) {
    this.#server = new URL(server);
    this.#token = options.token;
    this.#agent = new Agent({ ca: options.caPEM, keepAlive: true, maxSockets: 4 });
  }

  /** @throws Error when no whole answer comes within 10 s. */
  async send(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<ClusterAnswer> {
    const headers = {
      accept: 'application/json',
      authorization: `Bearer ${this.#token}`,
      ...(body === undefined ? {} : { 'content-type': contentType }),
    };
    return await new Promise((resolve, reject) => {
      const options = { agent: this.#agent, method, headers, timeout: 10_000 };
      const call = request(new URL(path, this.#server), options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJSON = response.headers['content-type']?.startsWith('application/json') === true;
          resolve({ status: response.statusCode ?? 0, body: isJSON ? JSON.parse(text) : text });
        });
      });
      call.on('timeout', () => call.destroy(new Error(`no answer to ${method} ${path} within 10 s`)));
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** The object, or undefined where there is none. @throws Error at any other refusal. */
  async get<T>(path: string): Promise<T | undefined> {
    const { status, body } = await this.send('GET', path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body as T;
  }

  async secret(namespace: string, name: string): Promise<SecretSeen | undefined> {
    const seen = await this.get<WireSecret>(`/api/v1/namespaces/${namespace}/secrets/${name}`);
    if (seen === undefined) return undefined;
    const data = Object.entries(seen.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
    return { ...seen, data: Object.fromEntries(data) as Record<string, string> };
  }

  async credential(namespace: string, name: string): Promise<CredentialSeen | undefined> {
    const seen = await this.get<Partial<CredentialSeen> & Pick<CredentialSeen, 'metadata'>>(
      credentialsPath(namespace, name),
    );
    return seen === undefined ? undefined : { ...seen, status: seen.status ?? {} };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** One condition of a resource. */
export function conditionOf(credential: CredentialSeen | undefined, type: string): Condition | undefined {
  return credential?.status.conditions?.find((condition) => condition.type === type);
}
