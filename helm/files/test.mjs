// What `helm test` runs, in the operator's own image: a replica behind the URL is Ready and serves its metrics, within a minute.
const [, url, seconds = '60'] = process.argv;
const deadline = Date.now() + Number(seconds) * 1_000;
const look = async (path) => {
  const answer = await fetch(url + path, { signal: AbortSignal.timeout(5_000) });
  return { status: answer.status, text: await answer.text() };
};
for (;;) {
  let problem;
  try {
    const ready = await look('/readyz');
    const metrics = await look('/metrics');
    if (ready.status !== 200) problem = `/readyz answers ${ready.status}: ${ready.text}`;
    else if (metrics.status !== 200 || !metrics.text.includes('\nleader_election_master_status{')) {
      problem = `/metrics answers ${metrics.status} and no leader_election_master_status`;
    }
  } catch (error) {
    problem = String(error.cause ?? error);
  }
  if (problem === undefined) break;
  if (Date.now() > deadline) {
    console.error(`not after ${seconds} s: ${url}: ${problem}`);
    process.exit(1);
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
console.log(`${url} is ready`);
