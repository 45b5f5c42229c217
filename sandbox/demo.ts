// Promises: `npm run demo`: a credential's life on three clouds in about 45 seconds, on this machine alone. Status 0 when all of it really
// happened, 1 when any step failed, 2 for a wrong command line, 130 after Ctrl-C; nothing is left behind in any case.
import { AUDIENCE, CLOUDS } from './demo-clouds.ts';
import type { DemoCloud } from './demo-clouds.ts';
import { DemoFailure, DemoInterrupted, DemoStage } from './demo-stage.ts';
import { Narrator } from './demo-narrator.ts';
import { pasteableOf, tell } from './demo-story.ts';
import type { Refusal } from './demo-story.ts';
import { interruption } from './interruption.ts';
import { NOT_SERVED } from './try-it.ts';

const USAGE = `Usage: npm run demo [-- --keep | --refuse[=CLOUD] | --refuse-refreshes[=CLOUD]]
  --keep                       leaves everything running after the demo, until Ctrl-C
  --refuse[=CLOUD]             the role trusts nobody: how a failing demo ends (status 1)
  --refuse-refreshes[=CLOUD]   the same after the first credential
  CLOUD                        AWS (the default), AlibabaCloud or Volcengine
`;

const NEXT = `
That was all of it. What to try next:
   npm run demo -- --keep    the same, and it stays for your own kubectl
   deploy/samples            workloads on a real cluster, for each cloud
   docs/reference/crd.md     every field
`;

interface Flags {
  readonly keep: boolean;
  readonly refusal: Refusal | undefined;
}

/** @returns the first flag that is none, or all of them read */
function parseFlags(args: readonly string[]): Flags | string {
  let flags: Flags = { keep: false, refusal: undefined };
  for (const arg of args) {
    const [, refused, name = 'AWS'] = /^--(refuse|refuse-refreshes)(?:=(.*))?$/.exec(arg) ?? [];
    const cloud: DemoCloud | undefined = CLOUDS.find((each) => each.name === name);
    if (arg === '--keep') flags = { ...flags, keep: true };
    else if (refused === undefined || cloud === undefined) return arg;
    else flags = { ...flags, refusal: { cloud, from: refused === 'refuse' ? 'the start' : 'the first refresh' } };
  }
  return flags;
}

async function main(flags: Flags): Promise<number> {
  const narrator = new Narrator(process.stdout);
  const interrupt = interruption();
  narrator.plain('Workload credentials, on this machine alone: no cluster, no cloud account, no network.');
  const stage = await DemoStage.open(interrupt);
  try {
    await tell(stage, narrator, flags.refusal);
    if (flags.keep) await keep(stage, narrator, interrupt);
    await stage.stopPods();
    const status = await stage.stopOperator();
    if (status !== 0) throw new DemoFailure(`After SIGTERM the operator ended with status ${status} instead of 0.`);
    if (!flags.keep) narrator.plain(NEXT);
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

async function keep(stage: DemoStage, narrator: Narrator, interrupt: AbortSignal): Promise<void> {
  narrator.heading('It goes on until Ctrl-C. In another terminal:');
  narrator.plain(`
${CLOUDS.map(({ title, service }) => `STS of ${title.padEnd(13)} ${service(stage.sandbox).url.origin}`).join('\n')}
Each accepts tokens for the audience ${AUDIENCE}.

# A WorkloadCredential of your own on each cloud: paste it as it stands.
${pasteableOf(stage)}

# And then:
kubectl get wcred --watch
kubectl annotate wcred orders --overwrite workloadcredentials.io/refresh-requested="$(date +%s)"
kubectl delete secret orders-cloud   # it comes back

${NOT_SERVED}
`);
  await new Promise<void>((resolve) => {
    // A signal's listener does not keep the process alive, but the servers do.
    if (interrupt.aborted) resolve();
    interrupt.addEventListener('abort', () => resolve(), { once: true });
  });
  narrator.plain();
}

const flags = parseFlags(process.argv.slice(2));
if (typeof flags === 'string') {
  process.stderr.write(`${flags} is no flag of the demo.\n${USAGE}`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(flags);
}
