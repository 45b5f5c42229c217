// Promises: few combinations of choices in which every pair of choices of two different questions occurs together; the same
// ones every time. Greedy, so a few more than the fewest. Knows nothing of what is chosen.

/** Questions, each with its possible answers. */
export type Choices<T> = Readonly<Record<string, readonly T[]>>;

/** One answer to each question, by its place in the list of answers. */
export type Row = ReadonlyMap<string, number>;

const pairOf = (a: string, i: number, b: string, j: number): string => `${a}=${i} ${b}=${j}`;

/** Every pair that has to occur. */
export function allPairs<T>(choices: Choices<T>): Set<string> {
  const names = Object.keys(choices);
  const pairs = new Set<string>();
  for (const [index, a] of names.entries()) {
    for (const b of names.slice(index + 1)) {
      for (const i of (choices[a] ?? []).keys())
        for (const j of (choices[b] ?? []).keys()) pairs.add(pairOf(a, i, b, j));
    }
  }
  return pairs;
}

/** The pairs that occur in a row. */
export function pairsIn(row: Row): string[] {
  const answers = [...row];
  return answers.flatMap(([a, i], index) => answers.slice(index + 1).map(([b, j]) => pairOf(a, i, b, j)));
}

/** Starts with a pair that has not occurred, then answers each question by what brings most pairs that have not. */
function nextRow<T>(choices: Choices<T>, open: ReadonlySet<string>): Row {
  const [first = ''] = open;
  const seed = new Map(
    first.split(' ').map((part): [string, number] => [part.split('=')[0] ?? '', Number(part.split('=')[1])]),
  );
  const names = Object.keys(choices);
  for (const name of names) {
    if (seed.has(name)) continue;
    let best = 0;
    let most = -1;
    for (const answer of (choices[name] ?? []).keys()) {
      const gain = [...seed].filter(([other, chosen]) =>
        open.has(
          names.indexOf(other) < names.indexOf(name)
            ? pairOf(other, chosen, name, answer)
            : pairOf(name, answer, other, chosen),
        ),
      ).length;
      if (gain > most) [best, most] = [answer, gain];
    }
    seed.set(name, best);
  }
  return new Map(names.map((name) => [name, seed.get(name) ?? 0]));
}

/** Rows in which every pair occurs. */
export function pairwise<T>(choices: Choices<T>): Row[] {
  const open = allPairs(choices);
  const rows: Row[] = [];
  while (open.size > 0) {
    const row = nextRow(choices, open);
    for (const pair of pairsIn(row)) open.delete(pair);
    rows.push(row);
  }
  return rows;
}
