// Promises: whether this version may be called released, which it is once CHANGELOG.md gives it a date: then the image's bases
// have to be pinned to a digest, so that what was tested can be built again. `npm run release:check` ends with 1 and says what
// to change; a unit test asks the same of every commit. It reads two files and asks no registry.
import { readFileSync } from 'node:fs';
import { isReleased, presentVersion } from './release-fixture.ts';

const ROOT = new URL('../', import.meta.url);
const DIGEST = /@sha256:[0-9a-f]{64}$/;

/** The arguments of a Dockerfile that name an image without a digest, as `NAME=image`. */
export function loosePins(dockerfile: string): string[] {
  const bases = [...dockerfile.matchAll(/^ARG (\w+_IMAGE)=(\S+)$/gm)];
  return bases.filter(([, , image = '']) => !DIGEST.test(image)).map(([, name, image]) => `${name}=${image}`);
}

/** What keeps a version from being released, a sentence each; nothing for one that is not dated. */
export function releaseProblems(version: string, changelog: string, dockerfile: string): string[] {
  if (!isReleased(version, changelog)) return [];
  const names = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image = '']) => image);
  return [
    ...loosePins(dockerfile).map(
      (pin) =>
        `CHANGELOG.md dates ${version}, and the Dockerfile has ARG ${pin} without a digest: append the @sha256:... of its index`,
    ),
    ...names
      .filter((image) => !/^\$\{\w+_IMAGE\}$/.test(image))
      .map(
        (image) => `CHANGELOG.md dates ${version}, and the Dockerfile is FROM ${image}: take it from an ARG ..._IMAGE`,
      ),
  ];
}

/** The same of this checkout. */
export function presentProblems(): string[] {
  const text = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
  return releaseProblems(presentVersion(), text('CHANGELOG.md'), text('Dockerfile'));
}

if (import.meta.main) {
  const problems = presentProblems();
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}
