// Shows that the runner starts an operator again that lost its Lease, as a kubelet would, and hides no other end.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { startOperator } from '../../beds/operator.ts';
import { waitFor } from '../../beds/wait.ts';
import { DeploymentRunner } from '../../support/deployment-runner.ts';

const SOON = { timeoutMs: 30_000 };

let directory: string;
let main: string;
let replicas: number;
let runner: DeploymentRunner;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'wc-runner-'));
  main = join(directory, 'main.mjs');
  writeFileSync(
    main,
    `import { createServer } from 'node:http';
     const [host, port] = process.argv.find((a) => a.startsWith('--listen-address=')).split('=')[1].split(':');
     const say = (message) => console.log(JSON.stringify({ message }));
     process.on('SIGTERM', () => process.exit(0));
     process.on('SIGUSR2', () => {
       say('the Lease was lost, another replica may work: this one ends');
       process.exit(1);
     });
     process.on('SIGHUP', () => {
       say('a bug');
       process.exit(1);
     });
     createServer((request, response) => response.end('ok')).listen(Number(port), host, () => say('this replica works'));`,
  );
});

after(() => {
  rmSync(directory, { recursive: true });
});

describe('an operator of a Deployment', () => {
  beforeEach(() => {
    replicas = 1;
    const deployment = () => ({
      spec: {
        replicas,
        template: {
          spec: { serviceAccountName: 'operator', containers: [{ args: ['--listen-address=:8080', '--a=1'] }] },
        },
      },
    });
    const answers = (path: string): unknown =>
      path.endsWith('/deployments') ? { items: [deployment()] } : { metadata: { uid: 'u' } };
    runner = new DeploymentRunner({
      kubernetes: { serviceAccountKubeconfig: () => Promise.resolve({ file: '/k', text: '', token: 'test' }) },
      client: { get: <T>(path: string) => Promise.resolve(answers(path) as T) },
      namespace: 'system',
      furtherArguments: ['--b=2'],
      start: async (options) => await startOperator({ ...options, main }),
    });
  });

  afterEach(async () => {
    await runner.stop();
  });

  test('that ended because it lost its Lease is started again, and settled waits for that', async () => {
    const first = await runner.settled();
    assert.match(first?.commandLine ?? '', /--a=1 --b=2$/);
    first?.signal('SIGUSR2');
    await first?.exited;
    const second = await runner.settled();
    assert.ok(second !== undefined && second.pid !== first?.pid);
    assert.equal((await second.get('/readyz')).status, 200);
    assert.equal(runner.operators.length, 2);
  });

  test('that ended otherwise is not, and settled tells its last lines at once', async () => {
    const first = await runner.settled();
    first?.signal('SIGHUP');
    await first?.exited;
    await assert.rejects(runner.settled(), /the operator has ended \(1\):\n[^]*a bug/);
    assert.equal(runner.operators.length, 1);
  });

  test('that is scaled to nothing ends, and another is started when it is scaled up again', async () => {
    const first = await runner.settled();
    first?.signal('SIGHUP');
    await first?.exited;
    replicas = 0;
    await waitFor('nothing to run', async () => (await runner.settled()) === undefined, SOON);
    replicas = 1;
    assert.equal(runner.operators.length, 1);
    const second = await waitFor('another one', async () => await runner.settled(), SOON);
    assert.notEqual(second.pid, first?.pid);
  });
});
