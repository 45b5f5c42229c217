// Promises: what a bed with a real node needs is in the cache afterwards: Debian's packages, the programs and the images. It takes
// long on a new machine, so that nobody calls it within a test.
import { ensureBinaries, REAL_NODE_BINARIES } from './binaries.ts';
import { ensureImages, type Images } from './image.ts';
import { requireRoot } from './namespaces.ts';
import { ensureNodePackages } from './node-packages.ts';

/** @throws MissingToolError where the machine cannot do it; Error with the last lines of what failed. */
export async function ensureNodeSupplies(): Promise<{ readonly packages: string; readonly images: Images }> {
  requireRoot();
  const packages = await ensureNodePackages();
  await ensureBinaries(REAL_NODE_BINARIES);
  return { packages, images: await ensureImages(packages) };
}
