// Shows that the operator's process gets the environment and arguments it is given, and that what it prints is kept.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startOperator } from '../../beds/operator.ts';

let directory: string;
let main: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'wc-operator-'));
  main = join(directory, 'main.mjs');
  writeFileSync(
    main,
    `import { createServer } from 'node:http';
     const address = process.argv.find((a) => a.startsWith('--listen-address=')).split('=')[1].split(':');
     createServer((q, r) => r.end(q.url === '/metrics' ? 'up 1' : 'ok')).listen(Number(address[1]), address[0], () => {
       console.log(JSON.stringify({ level: 'info', message: 'started', env: Object.keys(process.env), args: process.argv.slice(2) }));
     });
     process.on('SIGTERM', () => { console.error('not JSON'); process.exit(3); });`,
  );
});

after(() => {
  rmSync(directory, { recursive: true });
});

test('it has the given environment and arguments only, serves, prints and ends as told', async () => {
  const operator = await startOperator({ main, kubeconfig: '/k', args: ['--workers=1'], env: { CANARY: 'x' } });
  try {
    const { fields } = await operator.waitForLog('started');
    // Node hands its own variable for coverage runs on to every child.
    const names = (fields?.['env'] ?? []) as string[];
    const env = names.filter((name) => name !== 'NODE_V8_COVERAGE');
    assert.deepEqual(env, ['PATH', 'CANARY']);
    assert.deepEqual(fields?.['args'], ['--kubeconfig=/k', `--listen-address=${operator.url.slice(7)}`, '--workers=1']);
    await operator.waitUntilReady();
    assert.equal(await operator.metrics(), 'up 1');
    operator.signal('SIGTERM');
    assert.deepEqual(await operator.exited, { code: 3, signal: null });
    assert.match(operator.output(), /not JSON\n$/);
  } finally {
    await operator.kill();
  }
});

test('waiting for a line that can no longer come ends at once and tells the last lines', async () => {
  const operator = await startOperator({ main });
  await operator.waitForLog('started');
  operator.signal('SIGTERM');
  await assert.rejects(operator.waitForLog('never printed'), /the operator has ended \(3\):\n[^]*not JSON/);
});

test('an operator that was not built is told with the cure', async () => {
  await assert.rejects(startOperator({ main: join(directory, 'absent.js') }), /run "npm run bundle" first/);
});
