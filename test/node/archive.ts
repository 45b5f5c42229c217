// Promises: reads an image as a registry would hold it (an OCI archive): its configuration, the sizes of its layers and their
// files, and a directory tree of all layers together. Knows nothing of how it was built.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { runCommand } from '../beds/command.ts';

/** One layer. */
export interface Layer {
  readonly compressedBytes: number;
  readonly bytes: number;
  /** Paths as tar lists them: without a first slash, directories with a last one. */
  readonly files: readonly string[];
}

/** What the image says about how it is run. */
export interface ImageConfiguration {
  readonly User?: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly WorkingDir: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

/** An image, taken apart. */
export interface OpenedImage {
  readonly configuration: ImageConfiguration;
  /** Of every instruction that made it, the text. */
  readonly history: readonly string[];
  /** Empty unless they were asked for. */
  readonly layers: readonly Layer[];
  /** Its file system, as a container would see it. */
  readonly root: string;
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

async function tar(args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand('tar', args, { env: { PATH: '/usr/bin:/bin' }, cwd });
  if (code !== 0) throw new Error(`tar ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

/** A layer's files and sizes. */
async function look(file: string, compressedBytes: number, cwd: string): Promise<Layer> {
  const files = (await tar(['-tf', file], cwd)).trimEnd().split('\n');
  return { compressedBytes, bytes: gunzipSync(readFileSync(file)).length, files };
}

/** Unpacks the archive into a directory that the caller removes. Layers are looked into on demand: that takes seconds. */
export async function openImage(
  archive: string,
  directory: string,
  { layers: withLayers }: { readonly layers: boolean },
): Promise<OpenedImage> {
  const root = join(directory, 'root');
  mkdirSync(root, { recursive: true });
  await tar(['-xf', archive], directory);
  const blob = ({ digest }: Descriptor): string => join(directory, 'blobs/sha256', digest.replace('sha256:', ''));
  const json = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
  const { manifests } = json(join(directory, 'index.json')) as { manifests: readonly [Descriptor] };
  const manifest = json(blob(manifests[0])) as { config: Descriptor; layers: readonly Descriptor[] };
  const layers: Layer[] = [];
  for (const layer of manifest.layers) {
    await tar(['-xf', blob(layer), '--directory', root], directory);
    if (withLayers) layers.push(await look(blob(layer), layer.size, directory));
  }
  const { config, history } = json(blob(manifest.config)) as {
    config: ImageConfiguration;
    history: readonly { readonly created_by?: string }[];
  };
  return { configuration: config, history: history.map((step) => step.created_by ?? ''), layers, root };
}
