// The data of the page: columns of rows, changes of both ends, bytes of the packets. Rust packs them (view/page).
const SEGMENT_RIGHT = 0, SEGMENT_LEFT = 1, TEXT_LEFT = 2, TEXT_RIGHT = 3, TEXT_MIDDLE = 4, STATES_ONLY = 5;
const MARK = { loss: 1, again: 2, state: 4, special: 8, duplicate: 16, reordered: 32, lost: 64 };
const FIN = 1, SYN = 2, RST = 4;
const FIELDS = ["state", "snd_una", "snd_nxt", "snd_wnd", "rcv_nxt", "rcv_wnd", "cwnd", "ssthresh", "pipe", "srtt", "rttvar", "rto", "phase", "told", "sacked", "lost", "timers"];
const RIGHT = 20, TOLD = 13, SACKED = 14, LOST = 15, TIMERS = 16;
const STRIDE = 64;

const byId = (id) => document.getElementById(id);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function unpacked(id) {
  const holder = byId(id);
  const packed = Uint8Array.from(atob(holder.textContent.trim()), (char) => char.charCodeAt(0));
  holder.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Each number is the sum of the differences up to it.
function summed(differences) {
  const numbers = new Float64Array(differences.length);
  let sum = 0;
  for (let i = 0; i < differences.length; i++) numbers[i] = sum += differences[i];
  return numbers;
}

async function load() {
  const bytes = await unpacked("bytes");
  const data = JSON.parse(new TextDecoder().decode(await unpacked("data")));
  const rows = data.rows;
  for (const name of ["t", "p", "q", "a", "d", "v"]) rows[name] = summed(rows[name]);
  const count = rows.t.length;
  const starts = new Float64Array(count + 1);
  const ofPacket = new Map();
  const ofFlow = data.flows.map(() => []);
  for (let row = 0; row < count; row++) {
    starts[row + 1] = starts[row] + rows.b[row];
    if (rows.p[row] > 0 && !ofPacket.has(rows.p[row])) ofPacket.set(rows.p[row], row);
    if (rows.f[row] >= 0) ofFlow[rows.f[row]].push(row);
  }
  for (const points of [data.rtt, data.queue]) points.t = summed(points.t);
  data.rtt.v = summed(data.rtt.v);
  data.queue.p = summed(data.queue.p);
  data.queue.b = summed(data.queue.b);
  return { ...data, rows, count, starts, bytes, ofPacket, ofFlow, kept: data.flows.map(() => []) };
}

const isSegment = (data, row) => data.rows.k[row] <= SEGMENT_LEFT;
const seconds = (nanos, digits = 6) => (nanos / 1e9).toFixed(digits);

function unknown() {
  const side = () => ({ numbers: new Array(14).fill(-1), lists: [[], [], []], since: 0 });
  return [side(), side()];
}

const copied = (ends) => ends.map((side) => ({ numbers: side.numbers.slice(), lists: side.lists.slice(), since: side.since }));

// Adds the changes of a row. `changed` is told the code of each.
function apply(data, ends, row, changed) {
  const list = data.changes[row];
  for (let i = 0; i < list.length; i += 2) {
    const side = list[i] >= RIGHT ? 1 : 0, field = list[i] - RIGHT * side, value = list[i + 1];
    if (field < SACKED) ends[side].numbers[field] += value;
    else ends[side].lists[field - SACKED] = value;
    if (field === TIMERS) ends[side].since = data.rows.t[row];
    if (changed) changed(side, field);
  }
}

// The place of the last of `rows` that is not behind `row`.
function placeOf(rows, row) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle] <= row) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// What is known of both ends of a flow after a row, and what the row changed.
function endsAt(data, flow, row) {
  const rows = data.ofFlow[flow], kept = data.kept[flow];
  const place = placeOf(rows, row);
  const from = Math.min(Math.floor((place + 1) / STRIDE), kept.length);
  if (kept.length === 0) kept.push(unknown());
  let start = Math.min(from, kept.length - 1);
  const ends = copied(kept[start]);
  const changes = new Set();
  for (let i = start * STRIDE; i <= place; i++) {
    if (i % STRIDE === 0 && i / STRIDE === kept.length) kept.push(copied(ends));
    apply(data, ends, rows[i], i === place && rows[i] === row ? (side, field) => changes.add(side * RIGHT + field) : null);
  }
  return { ends, changes };
}

// The changes of a flow one after another: for curves.
function walkEnds(data, flow, take) {
  const ends = unknown();
  for (const row of data.ofFlow[flow]) {
    if (data.changes[row].length === 0) continue;
    apply(data, ends, row, null);
    take(row, ends);
  }
}

function duration(nanos) {
  if (nanos >= 1e9) return `${+(nanos / 1e9).toPrecision(4)} s`;
  if (nanos >= 1e6) return `${+(nanos / 1e6).toPrecision(4)} ms`;
  return `${+(nanos / 1e3).toPrecision(4)} µs`;
}

const grouped = (number) => number.toLocaleString("en-US");
