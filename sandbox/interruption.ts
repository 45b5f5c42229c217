// Promises: the one way in which the demo and the sandbox are told to end: Ctrl-C, a signal, or the end of the npm that
// started them. May not end anything itself.

const LOOK_EVERY_MS = 250;

/**
 * A signal that aborts when the process is asked to end. npm passes a signal that it alone gets on to the shell that it
 * started, and the shell ends without passing it on: then nobody is left who could ask, so the end of the shell counts too.
 * A program that was not started by npm may outlive who started it.
 */
export function interruption(): AbortSignal {
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  if (process.env['npm_lifecycle_event'] !== undefined) {
    const { ppid } = process;
    const watch = setInterval(() => {
      if (process.ppid !== ppid) interrupt.abort();
    }, LOOK_EVERY_MS);
    watch.unref();
    interrupt.signal.addEventListener('abort', () => clearInterval(watch), { once: true });
  }
  return interrupt.signal;
}
