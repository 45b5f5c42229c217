// Promises: the demo's own view of the API server, over the wire with the administrator's kubeconfig: what it prints was
// asked for here. Also `kubectl get`: kubectl itself where there is one, else the server's Table answer in the same columns.
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { WorkloadCredential } from '../src/api/types.gen.ts';

const KUBECTL_TIMEOUT_MS = 10_000;
const NAMESPACED = {
  wcred: '/apis/workloadcredentials.io/v1alpha1',
  secret: '/api/v1',
  serviceaccount: '/api/v1',
} as const;
const PLURAL = { wcred: 'workloadcredentials', secret: 'secrets', serviceaccount: 'serviceaccounts' } as const;

/** What can be asked for by name. */
export type Resource = keyof typeof NAMESPACED;

/** A Secret, as far as the demo looks at it. */
export interface DemoSecret {
  readonly metadata: { readonly uid: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

interface Table {
  readonly columnDefinitions: readonly { readonly name: string; readonly priority: number }[];
  readonly rows: readonly { readonly cells: readonly unknown[] }[];
}

/** How to reach it. */
export interface DemoAPIOptions {
  readonly server: URL;
  readonly caPEM: string;
  readonly token: string;
  /** For kubectl. */
  readonly kubeconfig: string;
  /** kubectl's HOME: its caches go there. */
  readonly home: string;
}

/** The API server. */
export class DemoAPI {
  readonly #options: DemoAPIOptions;
  readonly #agent: Agent;

  constructor(options: DemoAPIOptions) {
    this.#options = options;
    this.#agent = new Agent({ connect: { ca: options.caPEM } });
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  /** GET of any path. */
  async get<T>(path: string, accept = 'application/json'): Promise<T> {
    return (await this.#call('GET', path, { accept })) as T;
  }

  /** The resource, as it is now. */
  async wcred(namespace: string, name: string): Promise<WorkloadCredential> {
    return await this.get<WorkloadCredential>(pathOf('wcred', namespace, name));
  }

  async secret(namespace: string, name: string): Promise<DemoSecret> {
    return await this.get<DemoSecret>(pathOf('secret', namespace, name));
  }

  async create<T>(collection: string, object: object): Promise<T> {
    return (await this.#call('POST', collection, { body: object })) as T;
  }

  /** As `kubectl annotate --overwrite` does. */
  async annotate(resource: Resource, key: { namespace: string; name: string }, annotations: object): Promise<void> {
    const path = pathOf(resource, key.namespace, key.name);
    await this.#call('PATCH', path, { body: { metadata: { annotations } }, type: 'application/merge-patch+json' });
  }

  /** What `kubectl get wcred` prints, and whether kubectl printed it. */
  async kubectlGet(namespace: string): Promise<{ readonly text: string; readonly byKubectl: boolean }> {
    const kubectl = findOnPath('kubectl');
    if (kubectl !== undefined) {
      const env = { KUBECONFIG: this.#options.kubeconfig, HOME: this.#options.home, PATH: process.env['PATH'] };
      const args = ['get', 'wcred', '--namespace', namespace];
      try {
        const { stdout } = await promisify(execFile)(kubectl, args, { env, timeout: KUBECTL_TIMEOUT_MS });
        return { text: stdout, byKubectl: true };
      } catch {
        // Some other kubectl, or a wrapper that wants more than we give it: the server's Table says the same.
      }
    }
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const table = await this.get<Table>(pathOf('wcred', namespace), accept);
    return { text: renderTable(table), byKubectl: false };
  }

  async #call(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    options: { accept?: string; body?: object; type?: string },
  ): Promise<unknown> {
    const { server, token } = this.#options;
    const { accept = 'application/json', body, type = 'application/json' } = options;
    const answer = await request(new URL(path, server), {
      dispatcher: this.#agent,
      method,
      headers: { authorization: `Bearer ${token}`, accept, ...(body === undefined ? {} : { 'content-type': type }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400) {
      const { message } = JSON.parse(text) as { readonly message?: string };
      throw new Error(`the API server answered ${answer.statusCode} to ${method} ${path}: ${message}`);
    }
    return JSON.parse(text) as unknown;
  }
}

function pathOf(resource: Resource, namespace: string, name?: string): string {
  const collection = `${NAMESPACED[resource]}/namespaces/${namespace}/${PLURAL[resource]}`;
  return name === undefined ? collection : `${collection}/${name}`;
}

function findOnPath(command: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, command))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The columns that kubectl shows without `-o wide`, three spaces apart. */
export function renderTable({ columnDefinitions, rows }: Table): string {
  const shown = columnDefinitions.flatMap(({ priority }, index) => (priority === 0 ? [index] : []));
  const header = shown.map((index) => (columnDefinitions[index]?.name ?? '').toUpperCase());
  const lines = [header, ...rows.map(({ cells }) => shown.map((index) => cellText(cells[index])))];
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

function cellText(cell: unknown): string {
  return cell === null || cell === undefined ? '' : String(cell as string | number | boolean);
}
