// The sequence space of what each end sends, around what is in flight, and the table of variables of both ends.
const KINDS = [["acknowledged", "acknowledged"], ["sacked", "SACKed"], ["lost-range", "lost"], ["in-flight", "in flight"], ["window", "window"]];
const NAMES = [
  ["state", 0], ["SND.UNA", 1], ["SND.NXT", 2], ["SND.WND", 3], ["RCV.NXT", 4], ["RCV.WND", 5], ["cwnd", 6], ["ssthresh", 7],
  ["flight_size", -1], ["pipe", 8], ["srtt", 9], ["rttvar", 10], ["rto", 11], ["phase", 12], ["timers", TIMERS],
];

// Ranges of one kind each, from SND.UNA to the right edge of the window.
function partsOf(side) {
  const [, una, nxt, wnd] = side.numbers;
  if (una < 0 || nxt < 0) return null;
  const end = wnd < 0 ? nxt : Math.max(nxt, una + wnd);
  const marked = [];
  for (const [list, kind] of [[side.lists[0], 1], [side.lists[1], 2]]) {
    for (let i = 0; i < list.length; i += 2) marked.push([una + list[i], una + list[i + 1], kind]);
  }
  marked.sort((a, b) => a[0] - b[0]);
  const parts = [];
  let at = una;
  for (const [from, to, kind] of marked) {
    if (from > at) parts.push([at, from, 3]);
    parts.push([Math.max(from, at), to, kind]);
    at = Math.max(at, to);
  }
  if (at < nxt) parts.push([at, nxt, 3]);
  if (nxt < end) parts.push([nxt, end, 4]);
  const flight = nxt - una, right = flight === 0 ? end : Math.min(end, nxt + flight);
  const left = Math.max(0, una - Math.ceil((right - una) / 4) - 1);
  if (left < una) parts.unshift([left, una, 0]);
  return { parts, left, right: Math.max(right, left + 1), una, nxt, end };
}

function Space() {
  const holders = ["left", "right"].map((side) => {
    const holder = element("div", "side"), title = element("h3"), bar = element("div", "bar"), edges = element("div", "edges");
    holder.dataset.side = side;
    bar.setAttribute("role", "img");
    holder.append(title, bar, edges);
    byId("space").append(holder);
    return { title, bar, edges };
  });
  const key = element("ul", "key");
  for (const [name, text] of KINDS) {
    const item = element("li");
    item.append(element("i", name), document.createTextNode(text));
    key.append(item);
  }
  byId("space").append(key);
  return (ends, names) => holders.forEach(({ title, bar, edges }, side) => {
    title.textContent = `what ${names[side]} sends`;
    bar.replaceChildren();
    edges.replaceChildren();
    const space = ends ? partsOf(ends[side]) : null;
    if (!space) { bar.setAttribute("aria-label", "nothing is known"); edges.append(element("span", "", "nothing is known")); return; }
    const place = (at) => `${(100 * (Math.min(Math.max(at, space.left), space.right) - space.left)) / (space.right - space.left)}%`;
    const words = [];
    for (const [from, to, kind] of space.parts) {
      if (kind > 0) words.push(`${KINDS[kind][1]} ${from}:${to}`);
      if (from >= space.right || to <= space.left) continue;
      const part = element("i", KINDS[kind][0]);
      part.style.left = place(from);
      part.style.width = `calc(${place(to)} - ${place(from)})`;
      part.style.minWidth = "1px";
      bar.append(part);
    }
    bar.setAttribute("aria-label", `acknowledged up to ${space.una}; ${words.join("; ") || "nothing in flight"}`);
    const text = (name, value) => element("span", "", `${name} ${grouped(value)}`);
    edges.append(text("UNA", space.una), text("NXT", space.nxt), text("edge", space.end));
  });
}

function Variables(data) {
  const body = byId("variables").tBodies[0];
  const lines = NAMES.map(([name, field]) => {
    const line = element("tr"), head = element("th", "", name), cells = [element("td"), element("td")];
    head.scope = "row";
    line.append(head, ...cells);
    body.append(line);
    return { field, line, cells };
  });
  const value = (side, field, now) => {
    const numbers = side.numbers;
    if (field === TIMERS) return timersOf(data, side, now);
    if (field === -1) return numbers[1] < 0 || numbers[2] < 0 ? "–" : grouped(numbers[2] - numbers[1]);
    const number = numbers[field];
    if (number < 0) return "–";
    const mark = numbers[TOLD] & (1 << field) ? "" : "~";
    if (field === 0) return mark + data.states[number];
    if (field === 12) return mark + data.phases[number];
    return mark + (field >= 9 && field <= 11 ? duration(number) : grouped(number));
  };
  return (ends, changes, now) => {
    for (const { field, line, cells } of lines) {
      cells.forEach((cell, side) => {
        cell.textContent = ends ? value(ends[side], field, now) : "–";
        const is = changes && changes.has(side * RIGHT + (field === -1 ? 2 : field));
        cell.className = is ? "new" : "";
      });
      line.className = cells.some((cell) => cell.className) ? "changed" : "";
    }
  };
}

function timersOf(data, side, now) {
  const list = side.lists[2], texts = [];
  for (let i = 0; i < list.length; i += 3) {
    const start = side.since + list[i + 1], due = list[i + 2] < 0 ? null : start + list[i + 2] - now;
    texts.push(`~${data.timers[list[i]]}${due === null ? "" : due > 0 ? ` in ${duration(due)}` : " due"}`);
  }
  return texts.join(", ") || "–";
}
