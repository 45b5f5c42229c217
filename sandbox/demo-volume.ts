// Promises: what the kubelet does with a Secret volume: its keys as files behind a symbolic link that is swapped in one
// step, so that a reader sees one version or the next and never half of one. Looks every half second; a kubelet is slower.
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DemoAPI } from './demo-api.ts';

const PERIOD_MS = 500;

/** A mounted Secret. */
export class SecretVolume {
  readonly #api: DemoAPI;
  readonly #secret: { readonly namespace: string; readonly name: string };
  readonly #directory: string;
  #shown = '';
  #versions = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(api: DemoAPI, secret: { readonly namespace: string; readonly name: string }, directory: string) {
    this.#api = api;
    this.#secret = secret;
    this.#directory = directory;
  }

  /** Mounts; from now on the files follow the Secret. */
  async mount(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await this.#sync();
    this.#again();
  }

  unmount(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #again(): void {
    if (this.#stopped) return;
    // A look that fails is made again, as the kubelet does; the files stay.
    this.#timer = setTimeout(() => {
      this.#sync()
        .catch(() => undefined)
        .finally(() => this.#again());
    }, PERIOD_MS);
  }

  async #sync(): Promise<void> {
    const { data = {} } = await this.#api.secret(this.#secret.namespace, this.#secret.name);
    const content = JSON.stringify(data);
    if (content === this.#shown || this.#stopped) return;
    this.#versions += 1;
    const version = `..version-${this.#versions}`;
    await mkdir(join(this.#directory, version), { mode: 0o700 });
    for (const [key, value] of Object.entries(data)) {
      await writeFile(join(this.#directory, version, key), Buffer.from(value, 'base64'), { mode: 0o400 });
    }
    await symlink(version, join(this.#directory, '..data_tmp'));
    await rename(join(this.#directory, '..data_tmp'), join(this.#directory, '..data'));
    const present = await readdir(this.#directory);
    for (const key of Object.keys(data)) {
      if (!present.includes(key)) await symlink(`..data/${key}`, join(this.#directory, key));
    }
    // The version before stays one round longer for whoever has it open.
    await rm(join(this.#directory, `..version-${this.#versions - 2}`), { recursive: true, force: true });
    this.#shown = content;
  }
}
