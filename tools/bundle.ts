// Promises: dist/bundle/main.mjs, the operator and its dependencies as one file, for the image.
// `node tools/bundle.ts` writes it, and `node tools/bundle.ts FILE` elsewhere. May not minify names: stack traces are read by people.
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

await build({
  absWorkingDir: ROOT,
  entryPoints: ['src/main.ts'],
  outfile: process.argv[2] ?? 'dist/bundle/main.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: true,
  legalComments: 'linked',
  // CommonJS packages in the bundle call require, which an ES module does not have.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'info',
});
