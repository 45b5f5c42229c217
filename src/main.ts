// Promises: the first file that runs: on a Node that is too old it ends with one sentence and the status of a wrong command
// line, before an import can fail with a stack trace; else it starts the program. Listens for signals before that is read.
// May not import anything statically.

/** As package.json's engines; a test compares them. */
const LEAST = { major: 22, minor: 20 };
/** The status of a wrong command line. */
const USAGE = 2;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < LEAST.major || (major === LEAST.major && minor < LEAST.minor)) {
  process.stderr.write(
    `workload-credentials: this is Node ${process.versions.node}, and ${LEAST.major}.${LEAST.minor} or newer is needed: run it with a newer one ("npm ci" in its repository installs Node 24 as node_modules/.bin/node).\n`,
  );
  process.exit(USAGE);
}
// The first process of a container does not get a signal that it has no handler for: a pod that is deleted while the program
// is read would be waited for for 30 s. Nothing has begun, so there is nothing to finish; program.ts takes the handlers over.
const endAtOnce = (): void => process.exit(0);
process.on('SIGTERM', endAtOnce);
process.on('SIGINT', endAtOnce);
const { main } = await import('./program.ts');
await main(process.argv.slice(2));
