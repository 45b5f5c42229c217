// Promises: where the sources of a Go module are that test/tools pins and nothing here builds, fetched into Go's own cache by its
// checksum. It reads no file of the module. A machine without Go is told so in one sentence with the cure.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MissingToolError } from './binaries.ts';
import { runCommand } from './command.ts';

const TOOLS = new URL('../tools/', import.meta.url);

/** Go's environment is the machine's: it has the proxy and the cache. */
function environment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Record<string, string>;
}

/**
 * The directory of a module's sources.
 * @param tool the folder of test/tools whose go.mod has the version and whose go.sum has the checksum.
 * @throws MissingToolError without Go; Error with Go's words when it cannot be fetched or is not what was pinned.
 */
export async function goSource(tool: string, module: string): Promise<string> {
  const cwd = fileURLToPath(new URL(tool, TOOLS));
  const options = { env: environment(), cwd, timeoutMs: 120_000 };
  const fetched = await runCommand('go', ['mod', 'download', '-json', module], options).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new MissingToolError(
        `${module} is fetched with Go, and there is no "go" on PATH: install Go 1.26 or newer (https://go.dev/dl).`,
      );
    },
  );
  if (fetched.code !== 0) throw new Error(`go mod download ${module} ended with ${fetched.code}:\n${fetched.stderr}`);
  const { Dir: directory = '' } = JSON.parse(fetched.stdout) as { readonly Dir?: string };
  if (!existsSync(directory)) throw new Error(`go mod download ${module} named no directory:\n${fetched.stdout}`);
  return directory;
}
