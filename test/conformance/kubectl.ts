// Promises: kubectl itself against one server: each command's status and what it printed, with what is each server's or each
// second's own replaced, so that two servers can be compared. Runs in a directory of its own, which goes with close().
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../beds/command.ts';
import type { ConformanceBed } from './beds.ts';
import { namespaceOf } from './scene.ts';

/** One command and what came of it. */
export interface Command {
  readonly command: string;
  readonly code: number | null;
  readonly output: string;
}

/** One story that is told to kubectl. */
export interface KubectlCase {
  /** A sentence; it also names the namespace. */
  readonly name: string;
  readonly run: (kubectl: Kubectl, namespace: string) => Promise<void>;
}

const REPLACED: readonly (readonly [RegExp, string])[] = [
  [/\/\S*\/kubectl-\w+\//g, '<directory>/'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uid>'],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4}|Z)?( UTC)?/g, '<time>'],
  [/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}/g, '<time>'],
  [/(resourceVersion"?: "?|Resource Version: +)\d+/g, '$1<version>'],
  [/\b(\d+m)?\d+s\b/g, '<age>'],
  [/(https?:\/\/)?127\.0\.0\.1:\d+/g, '<server>'],
];

/** What two servers may print alike. */
export function normaliseOutput(text: string): string {
  const replaced = REPLACED.reduce((result, [pattern, word]) => result.replaceAll(pattern, word), text);
  return (
    replaced
      .split('\n')
      // Columns are as wide as their widest cell, also as an age.
      .map((line) => line.replaceAll(/ {2,}/g, '  ').trimEnd())
      .join('\n')
  );
}

export class Kubectl {
  readonly commands: Command[] = [];
  readonly #file: string;
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(file: string, kubeconfig: string) {
    this.#file = file;
    this.#directory = mkdtempSync(join(tmpdir(), 'kubectl-'));
    const config = join(this.#directory, 'kubeconfig');
    writeFileSync(config, kubeconfig, { mode: 0o600 });
    mkdirSync(join(this.#directory, 'home'));
    // A cache of discovery of its own, and diff from the PATH.
    const home = join(this.#directory, 'home');
    this.#env = { KUBECONFIG: config, HOME: home, PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
  }

  /** Writes a manifest and names it. */
  manifest(name: string, ...objects: readonly object[]): string {
    const file = join(this.#directory, name);
    writeFileSync(file, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
    return file;
  }

  /** Runs a command, which must end with this status. A word `@name` is the manifest of that name. */
  async run(line: string, options: { readonly code?: number; readonly record?: boolean } = {}): Promise<string> {
    const { code: wanted = 0, record = true } = options;
    const args = this.#words(line);
    const { code, stdout, stderr } = await runCommand(this.#file, args, { env: this.#env, cwd: this.#directory });
    const output = `${stdout}${stderr}`;
    if (record) this.commands.push({ command: `kubectl ${line}`, code, output: normaliseOutput(output) });
    assert.equal(code, wanted, `kubectl ${line}: ${output}`);
    return output;
  }

  /** Words as a shell reads them, with single quotes only. */
  #words(line: string): string[] {
    const words = line.match(/(?:[^\s']|'[^']*')+/g) ?? [];
    return words.map((word) =>
      word.startsWith('@') ? join(this.#directory, word.slice(1)) : word.replaceAll("'", ''),
    );
  }

  /** Runs a command that follows, until so many lines came, with `during` once the first did. @throws Error after 20 s */
  async follow(line: string, count: number, during: () => Promise<unknown>): Promise<string[]> {
    const args = this.#words(line);
    const child = spawn(this.#file, args, {
      env: this.#env,
      cwd: this.#directory,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n').length - 1;
      if (lines > 0) begin();
      if (lines >= count) end();
    });
    child.once('close', () => {
      begin();
      end();
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    try {
      await begun;
      await during();
      await ended;
    } finally {
      clearTimeout(timer);
      child.kill('SIGKILL');
    }
    const lines = text.split('\n').slice(0, count);
    this.commands.push({ command: `kubectl ${line}`, code: 0, output: normaliseOutput(lines.join('\n')) });
    assert.equal(lines.length, count, `kubectl ${line} ended early: ${text}`);
    return lines;
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Runs one story on one server, in a namespace of its own. `failure` is what it expected in vain. */
export async function runKubectl(
  file: string,
  bed: ConformanceBed,
  each: KubectlCase,
): Promise<{ readonly commands: readonly Command[]; readonly failure?: unknown }> {
  const namespace = namespaceOf(`kubectl ${each.name}`);
  const config = JSON.parse(bed.kubeconfig) as { contexts: { context: { namespace?: string } }[] };
  for (const { context } of config.contexts) context.namespace = namespace;
  const body = JSON.stringify({ metadata: { name: namespace } });
  await bed.client.send({ method: 'POST', path: '/api/v1/namespaces', body });
  const kubectl = new Kubectl(file, JSON.stringify(config));
  try {
    await each.run(kubectl, namespace);
    return { commands: kubectl.commands };
  } catch (failure) {
    return { commands: kubectl.commands, failure };
  } finally {
    kubectl.close();
  }
}
