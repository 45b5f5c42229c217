// Promises: fails when a generated file in the commit is not what the generators make of the sources. Run by
// `npm run generate:check`. May not leave the tree different from what `npm run generate` makes.
import { execFileSync } from 'node:child_process';
import { generatedFiles, writeGeneratedFiles } from './generate.ts';

await writeGeneratedFiles();
const paths = [...(await generatedFiles()).keys()];
const root = new URL('../', import.meta.url);
const changed = execFileSync('git', ['status', '--porcelain', '--', ...paths], { cwd: root, encoding: 'utf8' });
if (changed === '') {
  console.log(`${paths.length} generated files are up to date`);
} else {
  console.error(`These generated files differ from the commit:\n${changed}Run \`npm run generate\` and commit them.`);
  process.exitCode = 1;
}
