// Promises: a Secret volume as kubelet makes one: each version of the Secret is a directory of its own, `..data` is a
// symbolic link to the current one that is swapped by a rename, and each key is a link through `..data`: a reader sees one
// version or the next. https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PlainData } from '../../src/render/formats.ts';

/**
 * A mount of one Secret. In one thing it is kinder than kubelet, which removes the version before at once: here it goes with
 * the next swap, since a reader whom a busy machine stops between two names of a path would find nothing there. In a cluster
 * swap and look are minutes apart.
 */
export class MountedSecret {
  readonly path: string;
  #versions = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Brings a version of the Secret into the volume and removes the one before the last. */
  async show(data: PlainData): Promise<void> {
    this.#versions += 1;
    const nameOf = (number: number): string => `..2026_11_22_12_00_00.${number}`;
    const version = nameOf(this.#versions);
    await mkdir(join(this.path, version), { recursive: true, mode: 0o755 });
    for (const [key, value] of Object.entries(data)) {
      await writeFile(join(this.path, version, key), value, { mode: 0o644 });
    }
    await symlink(version, join(this.path, '..data_tmp'));
    await rename(join(this.path, '..data_tmp'), join(this.path, '..data'));
    const present = await readdir(this.path);
    for (const key of Object.keys(data).filter((name) => !present.includes(name))) {
      await symlink(join('..data', key), join(this.path, key));
    }
    await rm(join(this.path, nameOf(this.#versions - 2)), { recursive: true, force: true });
  }
}
