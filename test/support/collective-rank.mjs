// One of the ranks that src/training/collective/collective.test.ts starts: calls everything that a Collective can do, on
// arrays of the lengths given, and prints what it has then, as a JSON line.
import { joinRanks } from "../../dist/training/collective/join-ranks.js";

const collective = joinRanks();
const { rank, size, ranksHere } = collective;
/** Of a length, by place; `Float32Array.from` would take ten times as long. */
function filled(length, valueAt) {
  const array = new Float32Array(length);
  for (let i = 0; i < length; i++) array[i] = valueAt(i);
  return array;
}
/** Other numbers for every rank and place, whose sums are exact. */
const values = (length) => filled(length, (i) => ((i * 7 + rank * 13) % 64) / 8 + rank);
/** Sums of which the order shows. */
const rough = (length) =>
  filled(length, (i) => ((i * 7919 + rank * 104729) % 10007) / (1 + ((i + rank) % 7)));
/** What is left of an array in few numbers: all of a small one, else its places' weighted sum. */
const digest = (array) =>
  array.length <= 64 ? [...array] : array.reduce((sum, x, i) => sum + x * ((i % 97) + 1), 0);
const share = (array) => {
  const at = (of) => Math.floor((array.length * of) / size);
  return array.subarray(at(rank), at(rank + 1));
};

const results = [];
for (const length of process.argv.slice(2).map(Number)) {
  const reduced = values(length);
  await collective.allReduce(reduced);
  const shared = values(length);
  await collective.reduceScatter(shared);
  const own = digest(share(shared));
  await collective.allGather(shared);
  const twice = [rough(length), rough(length)];
  for (const array of twice) {
    await collective.reduceScatter(array);
    await collective.allGather(array);
  }
  // In rank 0 its own share is in place, and nothing else.
  const gathered = rank === 0 ? new Float32Array(length) : share(values(length));
  if (rank === 0) share(gathered).set(share(values(length)));
  await collective.gather(gathered);
  const told = values(length);
  await collective.broadcast(told);
  results.push({
    reduced: digest(reduced),
    own,
    shared: digest(shared),
    same: Buffer.from(twice[0].buffer).equals(Buffer.from(twice[1].buffer)),
    gathered: digest(gathered),
    told: digest(told),
  });
}
const bytes = new Uint8Array([rank + 1, 2]);
await collective.broadcast(bytes);

// The event loop goes on while rank 0 keeps the others waiting.
await collective.barrier();
let ticks = 0;
const ticking = setInterval(() => ticks++, 5);
if (rank === 0) await new Promise((resolve) => setTimeout(resolve, 300));
await collective.barrier();
clearInterval(ticking);

const exchanged = await collective.exchange([rank, 0.1 * rank]);
// One write a rank: mpirun mixes what ranks print by pieces.
process.stdout.write(
  `${JSON.stringify({ rank, size, ranksHere, results, bytes: [...bytes], ticks, exchanged })}\n`,
);
await collective.close();
