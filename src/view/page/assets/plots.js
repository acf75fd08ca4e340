// Plots of one connection over time, on a canvas. All kinds share the time axis with each other and with the cursor. What
// hosts did not tell is drawn from the packets.
const PLOTS = { sequence: "Sequence numbers", window: "Windows", rtt: "Round-trip times", throughput: "Throughput", queue: "Queues of links" };
const BINS = 120;

// The number near `at` with these last 32 bits.
function near(at, low) {
  const ahead = (low - at) | 0;
  return Math.max(0, at + ahead);
}

// Segments, ACKs and windows of both directions of a flow. An ACK counts when it arrives at the sender of the data.
function curvesOf(data, flow) {
  const rows = data.rows, lost = (row) => (rows.m[row] & MARK.lost) !== 0;
  const sides = [0, 1].map(() => ({ segments: [], acks: [], sacks: [], windows: [], bytes: 0 }));
  const at = [0, 0];
  const events = [];
  for (const row of data.ofFlow[flow]) {
    if (!isSegment(data, row)) continue;
    const from = rows.k[row], control = rows.c[row], length = rows.l[row] + (control & SYN ? 1 : 0) + (control & FIN ? 1 : 0);
    if (length > 0) {
      const seq = near(at[from], rows.q[row]);
      at[from] = Math.max(at[from], seq + length);
      sides[from].segments.push({ t: rows.t[row], seq, end: seq + length, row, mark: rows.marks[rows.o[row]], lost: lost(row), control });
      sides[from].bytes += rows.l[row];
      events.push({ t: rows.t[row], side: from, end: seq + length });
    }
    if (rows.a[row] >= 0 && !(control & RST)) {
      const arrived = rows.v[row] >= 0 ? rows.t[row] + rows.v[row] : data.isRun ? -1 : rows.t[row];
      if (arrived >= 0 && !lost(row)) events.push({ t: arrived, side: 1 - from, low: rows.a[row], window: rows.d[row], row });
    }
  }
  events.sort((a, b) => a.t - b.t);
  const una = [0, 0], nxt = [0, 0], wnd = [-1, -1];
  for (const event of events) {
    const side = sides[event.side];
    if (event.end !== undefined) nxt[event.side] = Math.max(nxt[event.side], event.end);
    else {
      const ack = near(una[event.side], event.low), before = una[event.side];
      una[event.side] = Math.max(before, ack);
      wnd[event.side] = event.window;
      side.acks.push({ t: event.t, ack: una[event.side], edge: una[event.side] + event.window, fresh: una[event.side] - before });
    }
    side.windows.push({ t: event.t, flight: Math.max(0, nxt[event.side] - una[event.side]), wnd: wnd[event.side] });
  }
  for (const side of sides) Object.assign(side, { cwnd: [], ssthresh: [], srtt: [], rto: [], rtt: [] });
  const last = [{}, {}];
  walkEnds(data, flow, (row, ends) => ends.forEach(({ numbers, lists }, number) => {
    const side = sides[number], t = rows.t[row];
    for (const [name, field] of [["cwnd", 6], ["ssthresh", 7], ["srtt", 9], ["rto", 11]]) {
      if (numbers[field] >= 0 && last[number][name] !== numbers[field]) side[name].push({ t, v: last[number][name] = numbers[field] });
    }
    if (lists[0] !== last[number].sacked) {
      last[number].sacked = lists[0];
      for (let i = 0; i < lists[0].length; i += 2) side.sacks.push({ t, from: numbers[1] + lists[0][i], to: numbers[1] + lists[0][i + 1] });
    }
  }));
  for (let i = 0; i < data.rtt.t.length; i++) if (data.rtt.f[i] === flow) sides[data.rtt.s[i]].rtt.push({ t: data.rtt.t[i], v: data.rtt.v[i] });
  return sides;
}

function lastPacket(data) {
  for (let row = data.count - 1; row >= 0; row--) if (data.rows.p[row] > 0) return data.rows.t[row] + Math.max(0, data.rows.v[row]);
  return data.count > 0 ? data.rows.t[data.count - 1] : 0;
}

// A step for ticks: 1, 2 or 5 times a power of ten.
function niceStep(span, count) {
  const raw = span / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw)), part = raw / power;
  return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}

function Plots(data, select) {
  const canvas = byId("plot"), picker = byId("plot-kind"), pen = canvas.getContext("2d"), cache = new Map();
  // Up to the last packet: a state that ends a minute later would press the rest together.
  const whole = [0, Math.max(1000, lastPacket(data) * 1.02)];
  if (data.count > 0) whole[0] = Math.min(0, data.rows.t[0]);
  let range = whole.slice(), cursor = 0, flow = 0, drag = null, area = null;
  for (const [kind, name] of Object.entries(PLOTS)) {
    if (kind !== "queue" || data.queue.t.length > 0) {
      const option = element("option", "", name);
      option.value = kind;
      picker.append(option);
    }
  }

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const curves = (of = flow) => {
    if (!cache.has(of)) { if (cache.size > 8) cache.clear(); cache.set(of, curvesOf(data, of)); }
    return cache.get(of);
  };

  // What is drawn: panels, each with layers. A layer is points, a line of steps, bars, or segments.
  function panels() {
    const kind = picker.value, names = data.flows[flow] || ["left", "right"];
    if (kind === "queue") {
      return [{ weight: 1, title: "packets in the queue", unit: "packets", layers: data.links.map((name, link) => ({
        name, color: ["new", "again", "ack", "reordered", "probe", "sack"][link % 6], steps: true, dash: link > 5 ? [4, 3] : [],
        points: pick(data.queue.t, (i) => data.queue.l[i] === link, (i) => data.queue.p[i]) })) }];
    }
    if (data.flows.length === 0) return [];
    if (kind === "throughput" && data.flows.length > 1 && byId("filter").value === "all") return [together()];
    const sides = curves(), useful = [0, 1].filter((side) => sides[side].bytes > 0);
    const shown = useful.length > 0 ? useful : [0, 1].filter((side) => sides[side].segments.length > 0);
    const most = Math.max(...shown.map((side) => sides[side].bytes));
    // A direction with hardly any data has less room.
    const weight = (side) => (sides[side].bytes * 20 < most ? 0.5 : 1);
    return shown.map((side) => ({ weight: weight(side), title: `${names[side]} → ${names[1 - side]}`, ...panel(kind, sides[side]) }));
  }

  // The goodput of the first connections, each in its direction with more data.
  function together() {
    const width = binWidth(), ink = ["new", "again", "ack", "reordered", "probe", "sack"];
    const layers = data.flows.slice(0, ink.length).map(([left, right], number) => {
      const [one, other] = curves(number), side = one.bytes >= other.bytes ? one : other;
      const name = side === one ? `${number}: ${left} → ${right}` : `${number}: ${right} → ${left}`;
      return { name, color: ink[number], steps: true, dash: number % 2 ? [7, 3] : [], points: bins(width, side.acks, (a) => a.fresh) };
    });
    const more = data.flows.length > ink.length ? ` of the first ${ink.length} connections` : "";
    return { weight: 1, title: `goodput${more}`, unit: `Mbit/s, in bins of ${duration(width)}`, layers };
  }

  const binWidth = () => niceStep((range[1] - range[0]) / 1e9, BINS) * 1e9;

  function bins(width, list, amount) {
    const sums = new Map(), points = [];
    for (const item of list) { const bin = Math.floor(item.t / width); sums.set(bin, (sums.get(bin) || 0) + amount(item)); }
    for (let bin = Math.floor(range[0] / width); bin <= range[1] / width && points.length < 4 * BINS; bin++) {
      points.push({ t: bin * width, v: ((sums.get(bin) || 0) * 8 / (width / 1e9)) / 1e6 });
    }
    return points;
  }

  function panel(kind, side) {
    if (kind === "sequence") {
      const of = (test) => side.segments.filter(test);
      const layer = (name, color, marks) => ({ name, color, segments: of((s) => !s.lost && marks.includes(s.mark)) });
      return { unit: "sequence number", layers: [
        { name: "right edge of the window", color: "window", dash: [2, 3], steps: true, points: side.acks.map((a) => ({ t: a.t, v: a.edge })), soft: true },
        { name: "acknowledged", color: "ack", steps: true, points: side.acks.map((a) => ({ t: a.t, v: a.ack })) },
        { name: "SACKed", color: "sack", spans: side.sacks },
        layer("new", "new", ["new", "none"]), layer("retransmission", "again", ["retransmission"]),
        layer("duplicate", "duplicate", ["duplicate"]), layer("out of order", "reordered", ["out-of-order"]),
        layer("probe, keep-alive", "probe", ["probe", "keep-alive"]),
        { name: "lost", color: "lost", crosses: of((s) => s.lost) },
        { name: "SYN, FIN", color: "text", letters: of((s) => s.control & (SYN | FIN) && s.mark !== "retransmission") },
      ] };
    }
    if (kind === "window") {
      const line = (name, color, points, dash = []) => ({ name, color, dash, steps: true, points });
      return { unit: "bytes", layers: [
        line("flight size", "new", side.windows.map((w) => ({ t: w.t, v: w.flight }))),
        { ...line("advertised window", "window", side.windows.filter((w) => w.wnd >= 0).map((w) => ({ t: w.t, v: w.wnd })), [2, 3]), soft: true },
        line("cwnd", "again", side.cwnd, [7, 3]), { ...line("ssthresh", "reordered", side.ssthresh, [1, 3]), soft: true },
      ] };
    }
    if (kind === "rtt") {
      const ms = (points) => points.map(({ t, v }) => ({ t, v: v / 1e6 }));
      return { unit: "milliseconds", layers: [
        { name: "sample (inferred)", color: "new", dots: ms(side.rtt) },
        { name: "srtt", color: "ack", steps: true, points: ms(side.srtt) },
        { name: "rto", color: "again", steps: true, dash: [7, 3], points: ms(side.rto) },
      ] };
    }
    const width = binWidth();
    return { unit: `Mbit/s, in bins of ${duration(width)}`, layers: [
      { name: "sent", color: "again", steps: true, dash: [4, 3], points: bins(width, side.segments, (s) => s.end - s.seq) },
      { name: "acknowledged (goodput)", color: "ack", steps: true, points: bins(width, side.acks, (a) => a.fresh) },
    ] };
  }

  function pick(times, test, value) {
    const points = [];
    for (let i = 0; i < times.length; i++) if (test(i)) points.push({ t: times[i], v: value(i) });
    return points;
  }

  const values = (layer) => {
    if (layer.points || layer.dots) {
      const list = layer.points || layer.dots, seen = list.filter((p) => p.t >= range[0] && p.t <= range[1]).map((p) => p.v);
      if (layer.steps) { const before = list.findLast((p) => p.t < range[0]); if (before) seen.push(before.v); }
      return seen;
    }
    const list = (layer.segments || layer.crosses || layer.letters || layer.spans || []);
    return list.filter((s) => s.t >= range[0] && s.t <= range[1]).flatMap((s) => (s.seq === undefined ? [s.from, s.to] : [s.seq, s.end]));
  };

  function extent(layers) {
    let low = Infinity, high = -Infinity;
    for (const layer of layers) {
      if (layer.soft) continue;
      for (const value of values(layer)) { if (value < low) low = value; if (value > high) high = value; }
    }
    if (high < low) return [0, 1];
    const span = Math.max(high - low, high * 0.02, 1e-9);
    return [Math.max(0, low - span * 0.06), high + span * 0.08];
  }

  function draw() {
    const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
    if (box.width < 40) return;
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    pen.font = "12px system-ui, sans-serif";
    const list = panels(), left = 66, right = box.width - 10, bottom = box.height - 34;
    area = { left, right };
    const x = (t) => left + ((t - range[0]) / (range[1] - range[0])) * (right - left);
    const total = list.reduce((sum, panel) => sum + panel.weight, 0);
    let above = 0;
    for (const panel of list) {
      const height = (bottom * panel.weight) / total;
      drawPanel(panel, x, left, right, above + 22, above + height - 4);
      above += height;
    }
    axis(x, left, right, bottom);
    const line = x(cursor);
    if (line >= left && line <= right) {
      pen.strokeStyle = color("text");
      pen.lineWidth = 1;
      pen.setLineDash([3, 3]);
      pen.beginPath(); pen.moveTo(line, 8); pen.lineTo(line, bottom); pen.stroke();
      pen.setLineDash([]);
    }
    if (drag) {
      pen.fillStyle = color("new");
      pen.globalAlpha = 0.15;
      pen.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), bottom);
      pen.globalAlpha = 1;
    }
    legend(list);
    describe(list);
  }

  function axis(x, left, right, bottom) {
    const span = (range[1] - range[0]) / 1e9, step = niceStep(span, (right - left) / 90);
    const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step))));
    pen.fillStyle = color("faint");
    pen.textAlign = "center";
    for (let tick = Math.ceil(range[0] / 1e9 / step) * step; tick <= range[1] / 1e9 + step * 1e-6; tick += step) {
      const at = x(tick * 1e9);
      if (at > left - 1 && at < right - 12) pen.fillText(tick.toFixed(digits), at, bottom + 14);
    }
    pen.textAlign = "right";
    pen.fillText("time in s", right, bottom + 30);
  }

  function drawPanel(panel, x, left, right, top, bottom) {
    const [low, high] = extent(panel.layers), y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    pen.fillStyle = color("text");
    pen.textAlign = "left";
    pen.fillText(clipped(`${panel.title} · ${panel.unit}`, right - left), left, top - 8);
    const step = niceStep(high - low, (bottom - top) / 34);
    pen.textAlign = "right";
    pen.lineWidth = 1;
    for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
      pen.strokeStyle = color("grid");
      pen.beginPath(); pen.moveTo(left, y(tick)); pen.lineTo(right, y(tick)); pen.stroke();
      pen.fillStyle = color("faint");
      pen.fillText(short(tick, step), left - 6, y(tick) + 4);
    }
    pen.strokeStyle = color("frame");
    pen.strokeRect(left, top, right - left, bottom - top);
    pen.save();
    pen.beginPath(); pen.rect(left, top, right - left, bottom - top); pen.clip();
    for (const layer of panel.layers) drawLayer(layer, x, y, left, right, top);
    pen.restore();
  }

  function drawLayer(layer, x, y, left, right, top) {
    const ink = color(layer.color), inside = (s) => { const at = x(s.t); return at >= left - 8 && at <= right + 8; };
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = 1.6;
    if (layer.steps && layer.points.length > 0) {
      pen.setLineDash(layer.dash || []);
      pen.beginPath();
      let last = null, column = null;
      for (const point of layer.points) {
        const at = x(point.t);
        if (at < left - 8) { last = point; continue; }
        if (!column) { if (last) { pen.moveTo(left - 8, y(last.v)); pen.lineTo(at, y(last.v)); } else pen.moveTo(at, y(point.v)); }
        else pen.lineTo(at, y(last.v));
        pen.lineTo(at, y(point.v));
        column = point; last = point;
        if (at > right + 8) break;
      }
      if (!column && last) pen.moveTo(left - 8, y(last.v));
      if (last) pen.lineTo(right, y(last.v));
      pen.stroke();
      pen.setLineDash([]);
    }
    for (const point of layer.dots || []) if (inside(point)) { pen.beginPath(); pen.arc(x(point.t), y(point.v), 2.2, 0, 7); pen.fill(); }
    pen.lineWidth = layer.color === "new" ? 2 : 3;
    for (const s of layer.segments || []) if (inside(s)) {
      const at = x(s.t), from = y(s.seq), to = Math.min(y(s.end), from - 1.5);
      pen.beginPath(); pen.moveTo(at, from); pen.lineTo(at, to); pen.stroke();
      if (layer.color === "again") { pen.beginPath(); pen.arc(at, (from + to) / 2, 3.6, 0, 7); pen.stroke(); }
      if (layer.color === "duplicate") pen.strokeRect(at - 3, (from + to) / 2 - 3, 6, 6);
      if (layer.color === "reordered") { pen.beginPath(); pen.moveTo(at - 4, to + 4); pen.lineTo(at, to - 1); pen.lineTo(at + 4, to + 4); pen.stroke(); }
      if (layer.color === "probe") { pen.beginPath(); pen.arc(at, from - 1, 3, 0, 7); pen.fill(); }
    }
    pen.lineWidth = 3;
    for (const s of layer.spans || []) if (inside(s)) { pen.beginPath(); pen.moveTo(x(s.t), y(s.from)); pen.lineTo(x(s.t), y(s.to)); pen.stroke(); }
    pen.lineWidth = 2;
    for (const s of layer.crosses || []) if (inside(s)) {
      const at = x(s.t), middle = y((s.seq + s.end) / 2);
      pen.beginPath(); pen.moveTo(at - 4, middle - 4); pen.lineTo(at + 4, middle + 4); pen.moveTo(at + 4, middle - 4); pen.lineTo(at - 4, middle + 4); pen.stroke();
    }
    // The whole word stays within the panel.
    for (const s of layer.letters || []) if (inside(s)) {
      const at = x(s.t), late = at > right - 30;
      pen.textAlign = late ? "right" : "left";
      pen.fillText(s.control & SYN ? "SYN" : "FIN", late ? at - 4 : at + 4, Math.max(top + 11, y(s.end) - 3));
    }
    pen.textAlign = "left";
  }

  function clipped(text, width) {
    if (pen.measureText(text).width <= width) return text;
    let cut = text;
    while (cut.length > 1 && pen.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
    return `${cut}…`;
  }

  function short(value, step) {
    for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size && step >= size / 100) return `${+(value / size).toFixed(2)}${unit}`;
    }
    return `${+value.toFixed(Math.max(0, Math.min(6, -Math.floor(Math.log10(step)))))}`;
  }

  const hasAny = (layer) => [layer.points, layer.dots, layer.segments, layer.crosses, layer.letters, layer.spans].some((list) => list && list.length > 0);

  function legend(list) {
    const seen = new Map();
    for (const panel of list) for (const layer of panel.layers) if (hasAny(layer)) seen.set(layer.name, layer);
    byId("legend").replaceChildren(...[...seen.values()].map((layer) => {
      const item = element("li"), icon = drawing("svg", { width: 22, height: 12, "aria-hidden": "true" });
      const stroke = `var(--${layer.color})`;
      const add = (name, attributes) => { const part = drawing(name, attributes); part.style.stroke = stroke; part.style.fill = "none"; part.style.strokeWidth = "2"; icon.append(part); return part; };
      if (layer.steps) add("path", { d: "M1 9 H11 V3 H21", "stroke-dasharray": (layer.dash || []).join(" ") });
      else if (layer.dots) { const dot = add("circle", { cx: 11, cy: 6, r: 2 }); dot.style.fill = stroke; }
      else if (layer.crosses) add("path", { d: "M7 2 L15 10 M15 2 L7 10" });
      else if (layer.letters) add("path", { d: "M3 10 V2 M8 2 H14" });
      else {
        add("path", { d: "M11 1 V11" });
        if (layer.color === "again") add("circle", { cx: 11, cy: 6, r: 3.6 });
        if (layer.color === "duplicate") add("rect", { x: 8, y: 3, width: 6, height: 6 });
        if (layer.color === "reordered") add("path", { d: "M7 6 L11 1 L15 6" });
      }
      item.append(icon, document.createTextNode(layer.name));
      return item;
    }));
  }

  function describe(list) {
    const text = byId("plot-text"), words = [];
    for (const panel of list) {
      const counts = panel.layers.filter((layer) => layer.segments || layer.crosses)
        .map((layer) => [layer.name, (layer.segments || layer.crosses).filter((s) => s.t >= range[0] && s.t <= range[1]).length])
        .filter(([, count]) => count > 0).map(([name, count]) => `${grouped(count)} ${count > 1 && ["retransmission", "duplicate"].includes(name) ? `${name}s` : name}`);
      const [low, high] = extent(panel.layers);
      words.push(`${panel.title}: ${counts.length > 0 ? counts.join(", ") : `${short(low, high - low || 1)} to ${short(high, high - low || 1)} ${panel.unit}`}`);
    }
    text.textContent = `${PLOTS[picker.value]} from ${seconds(range[0])} s to ${seconds(range[1])} s. ${words.join(". ")}${words.length > 0 ? "." : "Nothing to plot."}`;
    text.dataset.from = seconds(range[0], 9);
    text.dataset.to = seconds(range[1], 9);
    canvas.setAttribute("aria-label", `Plot: ${PLOTS[picker.value]}`);
  }

  function setRange(from, to) {
    const least = 1000, most = whole[1] - whole[0];
    const span = Math.min(Math.max(to - from, least), most);
    const begin = Math.min(Math.max(from, whole[0]), whole[1] - span);
    range = [begin, begin + span];
    draw();
  }

  function zoom(factor, around) {
    const center = around === undefined ? Math.min(Math.max(cursor, whole[0]), whole[1]) : around;
    const span = (range[1] - range[0]) * factor;
    const part = around === undefined ? 0.5 : (center - range[0]) / (range[1] - range[0]);
    setRange(center - span * part, center + span * (1 - part));
  }

  const timeAt = (clientX) => {
    const at = clientX - canvas.getBoundingClientRect().left;
    return range[0] + ((at - area.left) / (area.right - area.left)) * (range[1] - range[0]);
  };
  canvas.addEventListener("pointerdown", (event) => {
    const at = event.clientX - canvas.getBoundingClientRect().left;
    drag = { from: at, to: at, begin: event.clientX };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.to = event.clientX - canvas.getBoundingClientRect().left;
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [from, to] = [timeAt(drag.begin), timeAt(event.clientX)].sort((a, b) => a - b), moved = Math.abs(event.clientX - drag.begin);
    drag = null;
    if (moved > 6) setRange(from, to); else select.nearest(from, flow);
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX));
  }, { passive: false });
  picker.addEventListener("change", draw);
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-all").addEventListener("click", () => setRange(...whole));
  new ResizeObserver(draw).observe(canvas);

  return {
    zoom,
    all: () => setRange(...whole),
    draw,
    mark(at, ofFlow) {
      cursor = at;
      if (ofFlow >= 0) flow = ofFlow;
      if ((at < range[0] || at > range[1]) && at <= whole[1]) setRange(at - (range[1] - range[0]) / 2, at + (range[1] - range[0]) / 2); else draw();
    },
  };
}
