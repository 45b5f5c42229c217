// Promises: jq, which commands of the documentation read an audit log with: the machine's own, or else Debian's package with its
// two libraries, unpacked into the cache outside of the checkout. Nothing is installed into the system. Where it can be had in
// neither way one sentence says so, with the cure.
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MissingToolError } from './binaries.ts';
import { ensureDebianPackages } from './debian.ts';

/** What a shell needs to find it. */
export interface JQ {
  /** The directory that it is in. */
  readonly directory: string;
  /** Variables of its environment. */
  readonly env: Readonly<Record<string, string>>;
}

const CURE = 'install jq 1.6 or newer ("apt-get install jq")';
const LIBRARIES = 'usr/lib';

/** The directory below, named after the machine, that has its libraries. */
function librariesOf(root: string): string {
  const names = readdirSync(join(root, LIBRARIES)).filter((name) =>
    existsSync(join(root, LIBRARIES, name, 'libjq.so.1')),
  );
  const [name] = names;
  if (name === undefined) throw new MissingToolError(`Debian's package of jq has no libjq.so.1: ${CURE}.`);
  return join(root, LIBRARIES, name);
}

/** Makes sure that it is there. @param path where the machine's own is looked for. @throws MissingToolError */
export async function ensureJQ(path = process.env['PATH'] ?? ''): Promise<JQ> {
  const own = path.split(delimiter).find((directory) => existsSync(join(directory, 'jq')));
  if (own !== undefined) return { directory: own, env: {} };
  const root = await ensureDebianPackages({
    name: 'jq',
    packages: ['jq', 'libjq1', 'libonig5'],
    purpose: 'jq to read an audit log with',
    cure: CURE,
  }).catch((error: unknown) => {
    throw error instanceof MissingToolError
      ? new MissingToolError(`There is no jq on PATH to read an audit log with: ${CURE}.`, { cause: error })
      : error;
  });
  return { directory: join(root, 'usr/bin'), env: { LD_LIBRARY_PATH: librariesOf(root) } };
}
