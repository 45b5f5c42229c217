// List and watch against a loopback server that does everything wrong, one thing at a time.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { connectApiServer } from '../../../src/kube/connection.ts';
import { Informer, type InformerOptions, type WireObject } from '../../../src/kube/informer.ts';
import { undiciTransport } from '../../../src/transport/undici.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FixedRandom } from '../../support/fake-random.ts';
import {
  captureLog,
  type ScriptedAnswer,
  type ScriptedRequest,
  type ScriptedStream,
  startScriptedServer,
  until,
} from '../../support/scripted-server.ts';

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

function thing(name: string, resourceVersion: string, more: object = {}) {
  return { metadata: { namespace: 'shop', name, uid: `uid-${name}`, resourceVersion }, ...more };
}

function listOf(resourceVersion: string, items: unknown[], continueToken?: string) {
  return { kind: 'List', metadata: { resourceVersion, continue: continueToken }, items };
}

interface Script {
  /** Answers the n-th list request; default: an empty list at 10. */
  list?(request: ScriptedRequest, answer: ScriptedAnswer, count: number): void;
  /** Answers the n-th watch request; default: a stream that stays open. */
  watch?(request: ScriptedRequest, answer: ScriptedAnswer, count: number): void;
  readonly options?: Partial<InformerOptions<WireObject>>;
}

async function start(script: Script) {
  const lists: ScriptedRequest[] = [];
  const watches: ScriptedRequest[] = [];
  const streams: ScriptedStream[] = [];
  const http = await startScriptedServer((request, answer) => {
    if (request.query.get('watch') === 'true') {
      watches.push(request);
      if (script.watch !== undefined) {
        const keep = { ...answer, stream: () => remember(answer.stream()) };
        script.watch(request, keep, watches.length);
      } else remember(answer.stream());
      return;
    }
    lists.push(request);
    if (script.list === undefined) answer.json(200, listOf('10', []));
    else script.list(request, answer, lists.length);
  });
  const remember = (stream: ScriptedStream): ScriptedStream => {
    streams.push(stream);
    return stream;
  };
  const clock = new FakeClock();
  const log = captureLog();
  const server = await connectApiServer({
    identity: { server: http.url, read: () => Promise.resolve({ tls: {} }) },
    openTransport: (tls) => undiciTransport({ connections: 4, tls, connectTimeoutMs: 5_000 }),
    clock,
    log,
    userAgent: 'test/1',
  });
  const counted: string[] = [];
  const informer = new Informer<WireObject>({
    server,
    resource: { group: '', version: 'v1', plural: 'secrets' },
    namespaces: [],
    metadataOnly: false,
    project: (object) => object,
    clock,
    random: new FixedRandom(0.5),
    log,
    metrics: {
      observeList: (resource, result) => void counted.push(`list ${resource} ${result}`),
      countWatch: (_resource, result) => void counted.push(`watch ${result}`),
      countEvent: (_resource, type) => void counted.push(`event ${type}`),
    },
    ...script.options,
  });
  const told: string[] = [];
  const say = (object: WireObject): string => `${object.metadata.name}@${object.metadata.resourceVersion}`;
  informer.addHandler({
    onAdd: (object) => void told.push(`add ${say(object)}`),
    onUpdate: (old, object) => void told.push(`update ${say(old)} ${say(object)}`),
    onDelete: (object) => void told.push(`delete ${say(object)}`),
  });
  const controller = new AbortController();
  const running = informer.run(controller.signal);
  const stop = async (): Promise<void> => {
    controller.abort(new Error('stop'));
    await running;
  };
  closing.push(async () => {
    await stop();
    await http.close();
  });
  /** Waits for the informer to back off; says for how long. */
  const backoffMs = async (): Promise<number> => {
    const waiting = (): boolean => clock.waiters() === 1 && (clock.nextTimerMs() ?? 0) < 30_000;
    await until(waiting, 'the back-off');
    return clock.nextTimerMs() ?? 0;
  };
  return { http, lists, watches, streams, clock, log, informer, told, counted, stop, running, controller, backoffMs };
}

describe('Informer', () => {
  it('lists in pages of 500 without a resourceVersion, then watches from the end of the list', async () => {
    const { informer, lists, watches, told } = await start({
      list(request, answer) {
        if (request.query.get('continue') === null) answer.json(200, listOf('20', [thing('a', '3')], 'next'));
        else answer.json(200, listOf('20', [thing('b', '4')]));
      },
      options: { labelSelector: 'x/y=z' },
    });
    assert.equal(informer.hasSynced(), false);
    await informer.synced;
    assert.equal(informer.hasSynced(), true);
    await until(() => watches.length === 1);
    assert.deepEqual(
      lists.map(({ path, query }) => [path, Object.fromEntries(query)]),
      [
        ['/api/v1/secrets', { limit: '500', labelSelector: 'x/y=z' }],
        ['/api/v1/secrets', { limit: '500', continue: 'next', labelSelector: 'x/y=z' }],
      ],
    );
    assert.deepEqual(Object.fromEntries(watches[0]?.query ?? []), {
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: '450',
      resourceVersion: '20',
      labelSelector: 'x/y=z',
    });
    assert.deepEqual(told, ['add a@3', 'add b@4']);
    assert.equal(informer.size, 2);
    assert.deepEqual(
      informer.list().map(({ metadata }) => metadata.name),
      ['a', 'b'],
    );
    assert.equal(informer.get('shop/b')?.metadata.resourceVersion, '4');
    assert.equal(informer.get('shop/nope'), undefined);
  });

  it('follows events, split over chunks in the middle of a character', async () => {
    const { informer, streams, told, stop } = await start({});
    await until(() => streams.length === 1);
    streams[0]?.event('ADDED', thing('a', '11', { note: 'ö' }));
    const bytes = Buffer.from(`${JSON.stringify({ type: 'MODIFIED', object: thing('a', '12', { note: 'ü€🙂' }) })}\n`);
    for (const byte of bytes) streams[0]?.write(Buffer.from([byte]));
    await until(() => told.length === 2);
    assert.equal(informer.get('shop/a')?.['note'], 'ü€🙂');
    streams[0]?.event('DELETED', thing('a', '13'));
    await until(() => told.length === 3);
    assert.deepEqual(told, ['add a@11', 'update a@11 a@12', 'delete a@13']);
    assert.equal(informer.resourceVersion('shop'), '13');
    await stop();
  });

  it('is level-based: what is older than the cache or unknown changes nothing', async () => {
    const { streams, told, informer } = await start({
      list: (_request, answer) => answer.json(200, listOf('10', [thing('a', '9')])),
    });
    await until(() => streams.length === 1);
    const [stream] = streams;
    stream?.event('MODIFIED', thing('a', '8'));
    stream?.event('DELETED', thing('a', '7'));
    stream?.event('DELETED', thing('unknown', '11'));
    stream?.event('MODIFIED', thing('new', '12'));
    stream?.event('ADDED', thing('a', '13'));
    stream?.event('ADDED', thing('a', '13'));
    await until(() => told.length === 3);
    assert.deepEqual(told, ['add a@9', 'add new@12', 'update a@9 a@13']);
    assert.equal(informer.get('shop/a')?.metadata.resourceVersion, '13');
  });

  it('goes on from the last bookmark or event when the server closes the watch', async () => {
    const { streams, watches, informer, clock, lists } = await start({});
    await until(() => streams.length === 1);
    streams[0]?.event('ADDED', thing('a', '11'));
    streams[0]?.event('BOOKMARK', { kind: 'Secret', metadata: { resourceVersion: '42' } });
    streams[0]?.end();
    await until(() => watches.length === 2);
    assert.equal(watches[1]?.query.get('resourceVersion'), '42');
    assert.equal(informer.resourceVersion('any'), '42');
    assert.equal(lists.length, 1);
    assert.equal(clock.now(), new FakeClock().now(), 'a watch that made progress is opened again at once');
  });

  it('backs off when the server closes watches at once and tells nothing', async () => {
    const { watches, backoffMs, clock } = await start({
      watch: (_request, answer) => answer.stream().end(),
    });
    const delays: number[] = [];
    for (let turn = 1; turn <= 6; turn += 1) {
      await until(() => watches.length === turn);
      const delayMs = await backoffMs();
      delays.push(delayMs);
      await clock.advance(delayMs - 1);
      assert.equal(watches.length, turn, 'not before the delay has passed');
      await clock.advance(1);
    }
    assert.deepEqual(delays, [1_125, 2_250, 4_500, 9_000, 18_000, 27_000]);
  });

  it('lists again after 410, as a status or as an event, and tells what is gone', async () => {
    const gone = { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410, message: 'too old' };
    for (const asEvent of [true, false]) {
      const { told, watches, lists, counted, informer } = await start({
        list(_request, answer, count) {
          answer.json(
            200,
            count === 1
              ? listOf('10', [thing('a', '1'), thing('b', '2'), thing('c', '3')])
              : listOf('90', [thing('b', '2'), thing('c', '80'), thing('d', '81')]),
          );
        },
        watch(_request, answer, count) {
          if (count > 1) answer.stream();
          else if (asEvent) answer.stream().event('ERROR', gone);
          else answer.json(410, gone);
        },
      });
      await until(() => watches.length === 2);
      assert.equal(lists.length, 2);
      assert.equal(lists[1]?.query.has('resourceVersion'), false);
      assert.equal(watches[1]?.query.get('resourceVersion'), '90');
      assert.deepEqual(told, ['add a@1', 'add b@2', 'add c@3', 'update c@3 c@80', 'add d@81', 'delete a@1']);
      assert.ok(counted.includes('watch expired'));
      assert.equal(informer.resourceVersion('shop'), '90');
    }
  });

  it('backs off when every watch is 410', async () => {
    const { lists, backoffMs } = await start({
      watch: (_request, answer) => answer.json(410, { reason: 'Expired', code: 410 }),
    });
    assert.equal(await backoffMs(), 2_250);
    assert.equal(lists.length, 2);
  });

  it('takes revisions that went backwards from a list', async () => {
    const { informer, told, watches } = await start({
      list: (_request, answer, count) =>
        answer.json(200, count === 1 ? listOf('900', [thing('a', '800')]) : listOf('50', [thing('a', '40')])),
      watch(_request, answer, count) {
        if (count > 1) return void answer.stream();
        const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
        answer.json(504, { reason: 'Timeout', code: 504, details: { causes } });
      },
    });
    await until(() => watches.length === 2);
    assert.equal(informer.resourceVersion('shop'), '50');
    assert.equal(informer.get('shop/a')?.metadata.resourceVersion, '40');
    assert.deepEqual(told, ['add a@800', 'update a@800 a@40']);
  });

  it('lists again when a watch broke off: the server may be back with an older etcd', async () => {
    for (const breakOff of [(answer: ScriptedAnswer) => answer.reset(), undefined]) {
      const { informer, lists, watches, streams, backoffMs, clock } = await start({
        list: (_request, answer, count) =>
          answer.json(200, count === 1 ? listOf('900', [thing('a', '800')]) : listOf('50', [thing('a', '40')])),
        watch(_request, answer, count) {
          if (count === 1 && breakOff !== undefined) breakOff(answer);
          else answer.stream();
        },
      });
      if (breakOff === undefined) {
        await until(() => streams.length === 1);
        // An event first, so that the watch was a good one and counts as no failure.
        streams[0]?.event('ADDED', thing('b', '901'));
        await until(() => informer.get('shop/b') !== undefined);
        streams[0]?.reset();
      }
      await clock.advance(await backoffMs());
      await until(() => watches.length === 2);
      assert.equal(lists.length, 2);
      assert.equal(watches[1]?.query.get('resourceVersion'), '50');
      assert.equal(informer.get('shop/a')?.metadata.resourceVersion, '40');
      assert.equal(informer.get('shop/b'), undefined);
    }
  });

  it('watches again after other errors, from the same place, and lists again when they go on', async () => {
    const wrong: ((answer: ScriptedAnswer) => void)[] = [
      (answer) =>
        answer.stream().event('ERROR', { kind: 'Status', code: 500, reason: 'InternalError', message: 'etcd' }),
      (answer) => answer.stream().write('{"type":"ADDED","object":{"meta\n'),
      (answer) => answer.stream().write('{"type":"SURPRISE","object":{}}\n'),
      (answer) => answer.stream().event('ADDED', { metadata: { name: 'x' } }),
      (answer) => answer.json(403, { reason: 'Forbidden', message: 'no' }),
      (answer) => answer.reset(),
    ];
    const { lists, watches, backoffMs, clock, log } = await start({
      watch: (_request, answer, count) => wrong[count - 1]?.(answer),
    });
    for (let turn = 1; turn <= wrong.length; turn += 1) {
      await until(() => watches.length === turn);
      await clock.advance(await backoffMs());
    }
    await until(() => watches.length === wrong.length + 1);
    assert.deepEqual(
      watches.map(({ query }) => query.get('resourceVersion')),
      Array(7).fill('10'),
    );
    assert.equal(lists.length, 3, 'the first, and after three and six failures');
    const problems = log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => String(fields['problem']));
    for (const [index, pattern] of [
      /500 InternalError etcd/,
      /not JSON/,
      /not a watch event/,
      /no metadata.resourceVersion/,
      /403 Forbidden/,
      /network/,
    ].entries()) {
      assert.match(problems[index] ?? '', pattern);
    }
  });

  it('begins anew with the back-off after progress', async () => {
    const { watches, backoffMs, clock } = await start({
      watch(_request, answer, count) {
        if (count === 3) answer.stream().event('ADDED', thing('a', '11'));
        else answer.json(500, {});
      },
    });
    const delays: number[] = [];
    for (const turn of [1, 2]) {
      await until(() => watches.length === turn);
      delays.push(await backoffMs());
      await clock.advance(delays.at(-1) ?? 0);
    }
    await until(() => watches.length === 3);
    assert.deepEqual(delays, [1_125, 2_250]);
  });

  it('honours Retry-After of a list and of a watch, within two minutes', async () => {
    const waits = ['20', '100000'];
    const { clock, lists, watches } = await start({
      list(_request, answer, count) {
        if (count === 1) answer.json(429, { reason: 'TooManyRequests' }, { 'retry-after': '20' });
        else answer.json(200, listOf('10', []));
      },
      watch(_request, answer, count) {
        if (count === 1) answer.json(503, {}, { 'retry-after': waits[1] ?? '' });
        else answer.stream();
      },
    });
    await until(() => clock.nextTimerMs() === 20_000, 'the wait of the list');
    await clock.advance(19_999);
    assert.equal(lists.length, 1);
    await clock.advance(1);
    await until(() => clock.nextTimerMs() === 120_000, 'the wait of the watch');
    await clock.advance(120_000);
    await until(() => watches.length === 2);
  });

  it('asks for the whole collection when a continue token has expired', async () => {
    const { informer, lists } = await start({
      list(request, answer, count) {
        if (count === 2) answer.json(410, { reason: 'Expired', code: 410 });
        else
          answer.json(200, listOf('10', [thing('a', '1')], request.query.get('limit') === null ? undefined : 'next'));
      },
    });
    await informer.synced;
    assert.equal(lists.length, 3);
    assert.deepEqual(
      lists.map(({ query }) => query.get('limit')),
      ['500', '500', null],
    );
  });

  it('asks for smaller pages when a page is too long', async () => {
    const { informer, lists, backoffMs, clock } = await start({
      list(_request, answer, count) {
        if (count > 1) return answer.json(200, listOf('10', []));
        const stream = answer.stream();
        const megabyte = Buffer.alloc(1024 * 1024, 0x20);
        for (let sent = 0; sent < 65; sent += 1) stream.write(megabyte);
      },
    });
    await clock.advance(await backoffMs());
    await informer.synced;
    assert.deepEqual(
      lists.map(({ query }) => query.get('limit')),
      ['500', '100'],
    );
  });

  it('keeps trying when lists are malformed, and takes null for an empty list', async () => {
    const answers: unknown[] = [
      { items: [] },
      { metadata: { resourceVersion: '1' }, items: 'x' },
      { metadata: { resourceVersion: '5' }, items: null },
    ];
    const { informer, backoffMs, clock, lists } = await start({
      list: (_request, answer, count) => answer.json(200, answers[count - 1]),
    });
    for (const turn of [1, 2]) {
      await until(() => lists.length === turn);
      await clock.advance(await backoffMs());
    }
    await informer.synced;
    assert.equal(informer.resourceVersion('shop'), '5');
    assert.equal(informer.size, 0);
  });

  it('asks for and keeps nothing but metadata where it is told to', async () => {
    const secret = thing('a', '1', { kind: 'Secret', apiVersion: 'v1', data: { key: 'c2VjcmV0' } });
    const { informer, lists, watches, streams } = await start({
      list: (_request, answer) => answer.json(200, listOf('10', [secret])),
      options: { metadataOnly: true },
    });
    await until(() => streams.length === 1);
    assert.equal(lists[0]?.headers.accept, 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
    assert.equal(watches[0]?.headers.accept, 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
    streams[0]?.event('ADDED', { ...secret, metadata: { ...secret.metadata, name: 'b', resourceVersion: '11' } });
    await until(() => informer.size === 2);
    for (const object of informer.list()) assert.deepEqual(Object.keys(object), ['apiVersion', 'kind', 'metadata']);
  });

  it('has a stream and a connection for each namespace', async () => {
    const { informer, lists, watches, streams, told, http } = await start({
      list(request, answer) {
        const namespace = request.path.split('/')[5] ?? '';
        const object = thing('a', '1');
        answer.json(
          200,
          listOf(namespace === 'one' ? '100' : '200', [{ metadata: { ...object.metadata, namespace } }]),
        );
      },
      options: {
        namespaces: ['one', 'two', 'one'],
        resource: { group: 'workloadcredentials.io', version: 'v1alpha1', plural: 'workloadcredentials' },
      },
    });
    await until(() => streams.length === 2);
    const prefix = '/apis/workloadcredentials.io/v1alpha1/namespaces';
    assert.deepEqual(lists.map(({ path }) => path).toSorted(), [
      `${prefix}/one/workloadcredentials`,
      `${prefix}/two/workloadcredentials`,
    ]);
    assert.equal(new Set(watches.map(({ connection }) => connection)).size, 2);
    assert.equal(informer.resourceVersion('one'), '100');
    assert.equal(informer.resourceVersion('two'), '200');
    assert.equal(informer.resourceVersion('three'), undefined);
    assert.equal(informer.get('one/a')?.metadata.namespace, 'one');
    assert.equal(informer.get('three/a'), undefined);
    assert.equal(told.length, 2);
    assert.ok(http.openConnections >= 2);
  });

  /** Two namespaces, of which one can be forbidden. */
  async function startTwo(forbidden: Set<string>, broken = new Set<string>()) {
    const reached: string[] = [];
    const namespaceOf = (path: string): string => /\/namespaces\/([a-z]+)\//.exec(path)?.[1] ?? '';
    const refused = { kind: 'Status', reason: 'Forbidden', message: 'User "x" cannot list resource "secrets"' };
    const started = await start({
      list(request, answer) {
        const namespace = namespaceOf(request.path);
        if (broken.has(namespace)) answer.json(500, { kind: 'Status', reason: 'InternalError', message: 'no' });
        else if (forbidden.has(namespace)) answer.json(403, refused);
        else answer.json(200, listOf('10', [{ metadata: { ...thing('a', '1').metadata, namespace } }]));
      },
      watch(request, answer) {
        if (forbidden.has(namespaceOf(request.path))) answer.json(403, refused);
        else answer.stream();
      },
      options: { namespaces: ['here', 'gone'], onReached: (namespace) => void reached.push(namespace) },
    });
    const { clock, lists } = started;
    const asked = (): number => lists.filter(({ path }) => namespaceOf(path) === 'gone').length;
    /** Lets time pass in small steps, since the server answers in true time. */
    const untilLater = async (isSo: () => boolean, what: string): Promise<number> => {
      const fromMs = clock.monotonicMs();
      for (let step = 0; step < 400 && !isSo(); step += 1) {
        await clock.advance(250);
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      assert.ok(isSo(), what);
      return clock.monotonicMs() - fromMs;
    };
    return { ...started, asked, untilLater, reached };
  }

  it('waits for a namespace that is forbidden for a moment, as by an API server that has just started', async () => {
    const forbidden = new Set(['gone']);
    const { informer, asked, untilLater, log } = await startTwo(forbidden);
    await untilLater(() => asked() === 3, 'three tries');
    assert.equal(informer.hasSynced(), false);
    assert.deepEqual([informer.reaches('here'), informer.reaches('gone')], [true, false]);
    forbidden.clear();
    await untilLater(() => informer.hasSynced(), 'the list');
    assert.deepEqual([informer.size, informer.outOfReach, informer.reaches('gone')], [2, [], true]);
    assert.ok(!log.lines.some(({ message }) => message.includes('out of reach')));
  });

  it('serves the others when a namespace stays forbidden, holds up nobody, and takes it back', async () => {
    const forbidden = new Set(['gone']);
    const { informer, untilLater, log, told, asked } = await startTwo(forbidden);
    const tookMs = await untilLater(() => informer.hasSynced(), 'to be synced without it');
    assert.ok(tookMs >= 10_000 && tookMs < 12_000, `${tookMs} ms: no sooner, and not later for the back-off`);
    await informer.synced;
    assert.deepEqual(
      [informer.outOfReach, informer.reaches('gone'), informer.reaches('here')],
      [['gone'], false, true],
    );
    await informer.relist(new AbortController().signal);
    const before = asked();
    await untilLater(() => asked() === before + 3, 'further tries');
    const warnings = log.lines.filter(({ message }) => message.includes('out of reach'));
    assert.deepEqual(
      warnings.map(({ level, fields }) => [level, fields['namespace']]),
      [['warn', 'gone']],
    );
    assert.match(String(warnings[0]?.fields['fix']), /helm upgrade/);
    forbidden.clear();
    await untilLater(() => informer.reaches('gone'), 'it to be back');
    assert.deepEqual([told.toSorted(), informer.outOfReach], [['add a@1', 'add a@1'], []]);
  });

  it('keeps what was last seen in a namespace that goes out of reach, and says that it does not know', async () => {
    const forbidden = new Set<string>();
    const { informer, untilLater, told, streams, reached } = await startTwo(forbidden);
    await informer.synced;
    await until(() => streams.length === 2);
    forbidden.add('gone');
    const held = informer.relist(new AbortController().signal);
    await untilLater(() => informer.outOfReach.length === 1, 'it to be out of reach');
    await held;
    assert.equal(informer.hasSynced(), true, 'the other one is followed');
    assert.deepEqual([informer.size, informer.reaches('gone')], [2, false]);
    assert.deepEqual([informer.lastSeen('gone'), informer.lastSeen('here')], [1, 1]);
    assert.deepEqual(reached.toSorted(), ['gone', 'here']);
    forbidden.clear();
    await untilLater(() => informer.reaches('gone'), 'it to be back');
    assert.deepEqual(reached.toSorted(), ['gone', 'gone', 'here'], 'what was passed over is woken');
    assert.deepEqual(
      told.filter((line) => !line.startsWith('add')),
      [],
    );
  });

  it('holds up no list that is waited for, however the namespace fails that is out of reach', async () => {
    const [forbidden, broken] = [new Set(['gone']), new Set<string>()];
    const { informer, untilLater, asked } = await startTwo(forbidden, broken);
    await untilLater(() => informer.hasSynced(), 'to be synced without it');
    broken.add('gone');
    const before = asked();
    await informer.relist(new AbortController().signal);
    await until(() => asked() > before, 'the namespace to be asked for all the same');
    assert.equal(informer.lastSeen('gone'), undefined, 'it was never seen');
  });

  it('does not take two refusals for one that lasts when something else came between', async () => {
    const [forbidden, broken] = [new Set(['gone']), new Set<string>()];
    const { informer, untilLater, asked } = await startTwo(forbidden, broken);
    await untilLater(() => asked() === 2, 'two refusals');
    broken.add('gone');
    await untilLater(() => asked() === 6, 'an outage that outlasts the ten seconds');
    broken.clear();
    const before = asked();
    await untilLater(() => asked() === before + 1, 'a refusal');
    assert.deepEqual([informer.outOfReach, informer.hasSynced()], [[], false]);
    forbidden.clear();
    await untilLater(() => informer.hasSynced(), 'the list');
  });

  it('is not synced any more when nothing is left that it can follow', async () => {
    const forbidden = new Set<string>();
    const { informer, untilLater } = await startTwo(forbidden);
    await informer.synced;
    forbidden.add('gone').add('here');
    void informer.relist(new AbortController().signal);
    await untilLater(() => informer.outOfReach.length === 2, 'both to be out of reach');
    assert.deepEqual([informer.hasSynced(), informer.reachesAny], [false, false]);
  });

  it('is not synced when every namespace is out of reach, nor ever without the right to all', async () => {
    const { informer, untilLater } = await startTwo(new Set(['gone', 'here']));
    await untilLater(() => informer.outOfReach.length === 2, 'both to be out of reach');
    assert.equal(informer.hasSynced(), false);
    const all = await start({ list: (_request, answer) => answer.json(403, { reason: 'Forbidden', message: 'no' }) });
    for (let step = 0; step < 100; step += 1) {
      await all.clock.advance(500);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.ok(all.lists.length > 3);
    assert.deepEqual([all.informer.hasSynced(), all.informer.outOfReach], [false, []]);
  });

  it('lives on when a handler or the projection throws', async () => {
    const { informer, streams, told, log } = await start({
      list: (_request, answer) =>
        answer.json(200, listOf('10', [thing('a', '1'), thing('bad', '2'), { no: 'metadata' }])),
      options: {
        project(object) {
          if (object.metadata.name === 'bad') throw new TypeError('secret in here');
          return object;
        },
      },
    });
    informer.addHandler({
      onAdd: () => assert.fail('hunter2'),
      onUpdate: () => assert.fail('hunter2'),
      onDelete: () => assert.fail('hunter2'),
    });
    await until(() => streams.length === 1);
    streams[0]?.event('ADDED', thing('bad', '11'));
    streams[0]?.event('ADDED', thing('c', '12'));
    streams[0]?.event('DELETED', thing('c', '13'));
    await until(() => told.length === 3);
    assert.deepEqual(told, ['add a@1', 'add c@12', 'delete c@13']);
    const errors = log.lines.filter(({ level }) => level === 'error');
    assert.deepEqual(
      new Set(errors.map(({ message }) => message)),
      new Set([
        'an informer handler failed',
        'an object that cannot be read is left out',
        'an object without metadata.name and metadata.resourceVersion is left out',
      ]),
    );
    assert.doesNotMatch(JSON.stringify(log.lines), /hunter2|secret in here/);
  });

  it('tells a handler that comes late what is there', async () => {
    const { informer } = await start({ list: (_request, answer) => answer.json(200, listOf('10', [thing('a', '1')])) });
    await informer.synced;
    const late: string[] = [];
    informer.addHandler({ onAdd: ({ metadata }) => void late.push(metadata.name), onUpdate() {}, onDelete() {} });
    assert.deepEqual(late, ['a']);
  });

  it('lists again when asked, while it watches, and goes on from there', async () => {
    const { informer, lists, watches, streams, controller } = await start({
      list: (_request, answer, count) => answer.json(200, listOf(String(count * 10), [thing('a', String(count))])),
    });
    await until(() => streams.length === 1);
    await informer.relist(controller.signal);
    assert.equal(lists.length, 2);
    assert.equal(informer.get('shop/a')?.metadata.resourceVersion, '2');
    await until(() => watches.length === 2 && streams[0]?.closed === true);
    assert.equal(watches[1]?.query.get('resourceVersion'), '20');
  });

  it('lists again when asked, while it lists: the list that began before does not count', async () => {
    const held: ScriptedAnswer[] = [];
    const { informer, lists, controller } = await start({
      list(_request, answer, count) {
        if (count === 1) held.push(answer);
        else answer.json(200, listOf('20', [thing('a', '2')]));
      },
    });
    await until(() => held.length === 1);
    await informer.relist(controller.signal);
    assert.equal(lists.length, 2);
    assert.equal(informer.resourceVersion('shop'), '20');
  });

  it('cuts a back-off short when asked to list again', async () => {
    const { informer, backoffMs, controller, lists } = await start({
      list: (_request, answer, count) => (count === 1 ? answer.json(500, {}) : answer.json(200, listOf('10', []))),
    });
    await backoffMs();
    await informer.relist(controller.signal);
    assert.equal(lists.length, 2);
  });

  it('rejects a wish to list again with the reason of the signal, or of the end', async () => {
    const { informer, stop } = await start({ list: () => {} });
    const own = new AbortController();
    const reason = new Error('never mind');
    const first = informer.relist(own.signal);
    own.abort(reason);
    await assert.rejects(first, reason);
    await assert.rejects(informer.relist(own.signal), reason);
    const second = informer.relist(new AbortController().signal);
    await Promise.all([assert.rejects(second, /stop/), stop()]);
    await assert.rejects(informer.relist(new AbortController().signal), /stop/);
  });

  it('ends at once when aborted: while listing, watching and backing off', async () => {
    const listing = await start({ list: () => {} });
    await until(() => listing.lists.length === 1);
    await listing.stop();
    assert.equal(listing.informer.hasSynced(), false);

    const watching = await start({});
    await until(() => watching.streams.length === 1);
    await watching.stop();
    await until(() => watching.streams[0]?.closed === true, 'the watch closing');

    const waiting = await start({ watch: (_request, answer) => answer.json(500, {}) });
    await waiting.backoffMs();
    await waiting.stop();
    for (const { clock } of [listing, watching, waiting]) assert.equal(clock.waiters(), 0);
    await assert.rejects(waiting.informer.run(new AbortController().signal), /runs once/);
  });

  it('gives up a list or the head of a watch that does not come', async () => {
    const { clock, lists, watches, log } = await start({
      list: (_request, answer, count) => (count === 1 ? undefined : answer.json(200, listOf('10', []))),
      watch: (_request, answer, count) => (count === 1 ? undefined : void answer.stream()),
    });
    await until(() => lists.length === 1);
    await clock.advance(60_000);
    await until(() => clock.nextTimerMs() === 1_125, 'the back-off after the list');
    await clock.advance(1_125);
    await until(() => watches.length === 1);
    await clock.advance(30_000);
    await until(() => log.lines.filter(({ level }) => level === 'warn').length === 2, 'the second warning');
    for (const { fields } of log.lines) assert.match(String(fields['problem']), /DeadlineExceeded/);
  });

  it('refuses a line without end', async () => {
    const { log, streams } = await start({});
    await until(() => streams.length === 1);
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    for (let megabyte = 0; megabyte < 17; megabyte += 1) streams[0]?.write(chunk);
    await until(() => log.lines.length === 1, 'the warning');
    assert.match(String(log.lines[0]?.fields['problem']), /LINE_TOO_LARGE/);
  });
});
