// Promises: `npm run demo`: a credential's life in about 35 seconds, on this machine alone. Status 0 when all of it really
// happened, 1 when any step failed, 2 for a wrong command line, 130 after Ctrl-C; nothing is left behind in any case.
import { DemoFailure, DemoInterrupted, DemoStage } from './demo-stage.ts';
import { Narrator } from './demo-narrator.ts';
import { NAMESPACE, tell } from './demo-story.ts';
import type { Refusal } from './demo-story.ts';

const FLAGS = new Set(['--keep', '--refuse', '--refuse-refreshes']);
const USAGE = `Usage: npm run demo [-- --keep | --refuse | --refuse-refreshes]
  --keep               leaves everything running after the demo, until Ctrl-C
  --refuse             the role trusts nobody: how a failing demo ends (status 1)
  --refuse-refreshes   the same after the first credential
`;

const NEXT = `
That was all of it. What to try next:
   npm run demo -- --keep    the same, and it stays for your own kubectl
   deploy/samples/aws.yaml   a workload on a real cluster
   docs/reference/crd.md     every field
`;

async function main(flags: ReadonlySet<string>): Promise<number> {
  const narrator = new Narrator(process.stdout);
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  narrator.plain('Workload credentials, on this machine alone: no cluster, no cloud account, no network.');
  const stage = await DemoStage.open(interrupt.signal);
  try {
    await tell(stage, narrator, refusalOf(flags));
    if (flags.has('--keep')) await keep(stage, narrator, interrupt.signal);
    await stage.stopPod();
    const status = await stage.stopOperator();
    if (status !== 0) throw new DemoFailure(`After SIGTERM the operator ended with status ${status} instead of 0.`);
    if (!flags.has('--keep')) narrator.plain(NEXT);
    return 0;
  } catch (error) {
    if (error instanceof DemoInterrupted) {
      narrator.plain('\nInterrupted.');
      return 130;
    }
    narrator.failure(error instanceof DemoFailure ? error.message : String(error));
    return 1;
  } finally {
    await stage.stop();
    narrator.plain('All processes have ended and the temporary directory is removed.');
  }
}

function refusalOf(flags: ReadonlySet<string>): Refusal {
  if (flags.has('--refuse')) return 'all';
  return flags.has('--refuse-refreshes') ? 'refreshes' : 'none';
}

async function keep(stage: DemoStage, narrator: Narrator, interrupt: AbortSignal): Promise<void> {
  narrator.heading('It goes on until Ctrl-C. In another terminal:');
  narrator.plain(`
   export KUBECONFIG=${stage.kubeconfig}
   kubectl get wcred --namespace ${NAMESPACE} --watch
   kubectl annotate wcred orders --namespace ${NAMESPACE} --overwrite workloadcredentials.io/refresh-requested="$(date +%s)"
   kubectl delete secret orders-cloud --namespace ${NAMESPACE}   # it comes back
`);
  await new Promise<void>((resolve) => {
    // A signal's listener does not keep the process alive, but the servers do.
    if (interrupt.aborted) resolve();
    interrupt.addEventListener('abort', () => resolve(), { once: true });
  });
  narrator.plain();
}

const flags = process.argv.slice(2);
const unknown = flags.find((flag) => !FLAGS.has(flag));
if (unknown === undefined) {
  process.exitCode = await main(new Set(flags));
} else {
  process.stderr.write(`${unknown} is no flag of the demo.\n${USAGE}`);
  process.exitCode = 2;
}
