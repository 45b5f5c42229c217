// Promises: what this version ships, kept for the upgrade tests of later ones: `npm run release:fixture` writes the CRD, the
// chart and the plain manifests to test/fixtures/releases/VERSION. It copies committed files byte for byte and writes no other
// version's directory; a version that CHANGELOG.md dates is released, and its fixture is never written again.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
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

if (import.meta.main) {
  const version = presentVersion();
  if (isReleased(version, text('CHANGELOG.md'))) throw new Error(`${version} is released: its fixture stays as it is`);
  const stale = (await staleFiles()).filter((path) => PARTS.some(([source]) => path.startsWith(source)));
  if (stale.length > 0) throw new Error(`run "npm run generate" first: ${stale.join(', ')}`);
  const directory = releaseDirectory(version);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [source, target] of PARTS) cpSync(new URL(source, ROOT), new URL(target, directory), { recursive: true });
  console.log(`test/fixtures/releases/${version} has ${PARTS.map(([, target]) => target).join(', ')}`);
}
