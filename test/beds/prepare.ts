// Promises: everything that the end-to-end beds run is in the cache afterwards, the former release's program and others' CRDs
// included, and with `--with-nodes` what real pods need as well; or the status is 1 and the last line says what is missing and
// how to get it. It runs before the tests, whose time limits know nothing of compilers.
import { formerRelease } from '../../tools/release-fixture.ts';
import { monitoringCRDs } from '../support/monitoring-crds.ts';
import { END_TO_END_BINARIES, MissingToolError, ensureBinaries } from './binaries.ts';
import { ensureJQ } from './jq.ts';
import { ensureNodeSupplies } from './node-supplies.ts';
import { ensureReleaseProgram } from './release-program.ts';

try {
  await ensureBinaries(END_TO_END_BINARIES);
  await ensureReleaseProgram(formerRelease());
  await monitoringCRDs();
  await ensureJQ();
  if (process.argv.includes('--with-nodes')) await ensureNodeSupplies();
} catch (error) {
  const told = error instanceof MissingToolError ? error.message : String(error instanceof Error ? error.stack : error);
  process.stderr.write(`The tests on real beds cannot run. ${told}\n`);
  process.exitCode = 1;
}
