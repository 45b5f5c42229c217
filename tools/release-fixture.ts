// Promises: what this version ships, kept for the upgrade tests of later ones: `npm run release:fixture` writes the CRD, the
// chart, the plain manifests and the sources of the program to test/fixtures/releases/VERSION. It copies committed files byte
// for byte and writes no other version's directory; a version that CHANGELOG.md dates is released, and its fixture is never
// written again.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import { CRD_PATH } from './crd-file.ts';
import { staleFiles } from './generate.ts';

const ROOT = new URL('../', import.meta.url);
const RELEASES = new URL('test/fixtures/releases/', ROOT);

/** Where each part comes from; a directory is copied whole. */
const PARTS: readonly (readonly [source: string, target: string])[] = [
  [CRD_PATH, 'crd.yaml'],
  ['helm/', 'chart/'],
  ['deploy/operator.yaml', 'operator.yaml'],
];

/** The program of a fixture: our own sources with the lock file, which names what else it needs. */
export const PROGRAM_FILE = 'program.tar.gz';
const PROGRAM_SOURCES = ['src', 'package.json', 'package-lock.json'];

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' });
}

function text(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** The version of the package. @throws Error when the chart has another one, or when it is no release's. */
export function presentVersion(): string {
  const { version } = JSON.parse(text('package.json')) as { readonly version: string };
  const chart = load(text('helm/Chart.yaml')) as { readonly version: string; readonly appVersion: string };
  if (chart.version !== version || chart.appVersion !== version) {
    throw new Error(`package.json is of ${version}, helm/Chart.yaml of ${chart.version} and ${chart.appVersion}`);
  }
  if (version === '0.0.0')
    throw new Error('version 0.0.0 is no release: set one in package.json, chart and src/version.ts');
  return version;
}

/** Whether the changelog gives the version a date: `## [0.1.0] - 2026-01-31`, as Keep a Changelog has it. */
export function isReleased(version: string, changelog: string): boolean {
  return new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d$`, 'm').test(changelog);
}

/** The versions that have a fixture, oldest first. */
export function releases(): string[] {
  const part = (version: string, index: number): number => Number(version.split('.')[index]);
  return readdirSync(RELEASES)
    .filter((name) => /^\d+\.\d+\.\d+$/.test(name))
    .toSorted((a, b) => part(a, 0) - part(b, 0) || part(a, 1) - part(b, 1) || part(a, 2) - part(b, 2));
}

/** The directory of a version's fixture. */
export function releaseDirectory(version: string): URL {
  return new URL(`${version}/`, RELEASES);
}

/** A file's text, or for a directory all names and texts below it. */
function content(url: URL): string {
  if (!url.pathname.endsWith('/')) return readFileSync(url, 'utf8');
  const files = readdirSync(url, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).toSorted();
  return paths.map((path) => `${relative(fileURLToPath(url), path)}\n${readFileSync(path, 'utf8')}`).join('\0');
}

/** Whether chart, CRD and manifests of a fixture are this checkout's: an upgrade from it would be none. */
export function isPresent(version: string): boolean {
  const directory = releaseDirectory(version);
  return PARTS.every(([source, target]) => content(new URL(source, ROOT)) === content(new URL(target, directory)));
}

/** The newest release that differs from this checkout. @throws Error when there is none: the upgrade tests would show nothing. */
export function formerRelease(): string {
  const former = releases().findLast((version) => !isPresent(version));
  if (former === undefined) throw new Error('test/fixtures/releases has no release that differs from this checkout');
  return former;
}

if (import.meta.main) {
  const version = presentVersion();
  if (isReleased(version, text('CHANGELOG.md'))) throw new Error(`${version} is released: its fixture stays as it is`);
  const stale = (await staleFiles()).filter((path) => PARTS.some(([source]) => path.startsWith(source)));
  if (stale.length > 0) throw new Error(`run "npm run generate" first: ${stale.join(', ')}`);
  const changed = git('status', '--porcelain', '--', ...PROGRAM_SOURCES).trim();
  if (changed !== '') throw new Error(`commit first what the program is made of: ${changed}`);
  const directory = releaseDirectory(version);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [source, target] of PARTS) cpSync(new URL(source, ROOT), new URL(target, directory), { recursive: true });
  git(
    'archive',
    '--format=tar.gz',
    '-9',
    `--output=${fileURLToPath(new URL(PROGRAM_FILE, directory))}`,
    'HEAD',
    ...PROGRAM_SOURCES,
  );
  const parts = [...PARTS.map(([, target]) => target), PROGRAM_FILE];
  console.log(`test/fixtures/releases/${version} has ${parts.join(', ')}`);
}
