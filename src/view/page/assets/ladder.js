// The ladder: only the rows in sight are elements. `shown` has the rows that the filter lets through.
const HEIGHT = 44, SPARE = 6, HIGHEST = 15000000;

function Ladder(data, select) {
  const box = byId("ladder");
  const inner = element("div");
  inner.id = "rows";
  inner.setAttribute("role", "presentation");
  box.append(inner);
  let shown = [], selected = -1, drawn = new Map(), factor = 1, numbered = false;

  const top = (place) => place * HEIGHT;
  // Browsers limit the height of an element: of very long ladders, the bar of the scrolling moves faster than the rows.
  const offset = () => (factor === 1 ? 0 : box.scrollTop * (factor - 1));

  function made(place) {
    const row = shown[place], rows = data.rows, kind = rows.k[row], marks = rows.m[row];
    const names = ["row", ["to-right", "to-left", "left", "right", "middle", "states"][kind]];
    if (kind <= SEGMENT_LEFT && rows.l[row] > 0) names.push("data");
    for (const name of ["again", "duplicate", "reordered", "lost"]) if (marks & MARK[name]) names.push(name);
    const line = element("div", names.join(" "));
    line.id = `row-${row}`;
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", String(row === selected));
    line.setAttribute("aria-posinset", String(place + 1));
    line.setAttribute("aria-setsize", String(shown.length));
    line.dataset.row = row;
    if (rows.p[row] > 0) line.dataset.packet = rows.p[row];
    const [left, right] = states(data, row);
    // Rows of several connections stand between each other: each says whose it is.
    const whose = numbered && rows.f[row] >= 0 ? `#${rows.f[row]} ` : "";
    const middle = element("span", "mid");
    if (kind <= SEGMENT_LEFT) {
      middle.append(element("span", "what", whose + rows.x[row]), element("span", "shaft"), element("span", "say", rows.w[row]));
    } else {
      const text = kind === STATES_ONLY ? [left, right].filter(Boolean).join(" · ") : rows.x[row];
      middle.append(element("span", "what", whose + (rows.w[row] ? `${text}: ${rows.w[row]}` : text)));
    }
    line.append(
      element("span", "when", seconds(rows.t[row])),
      element("span", "number", rows.p[row] > 0 ? String(rows.p[row]) : ""),
      element("span", "state of-left", left),
      middle,
      element("span", "state of-right", right),
    );
    return line;
  }

  function draw() {
    const from = Math.max(0, Math.floor((box.scrollTop + offset()) / HEIGHT) - SPARE);
    const to = Math.min(shown.length, Math.ceil((box.scrollTop + offset() + box.clientHeight) / HEIGHT) + SPARE);
    for (const [place, line] of drawn) if (place < from || place >= to) { line.remove(); drawn.delete(place); }
    for (let place = from; place < to; place++) {
      if (!drawn.has(place)) { drawn.set(place, made(place)); inner.append(drawn.get(place)); }
      drawn.get(place).style.top = `${top(place) - offset()}px`;
    }
  }

  function clear() {
    for (const line of drawn.values()) line.remove();
    drawn = new Map();
  }

  box.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(box);
  inner.addEventListener("click", (event) => {
    const line = event.target.closest(".row");
    if (line) select(Number(line.dataset.row));
  });

  return {
    show(rows, ofSeveral) {
      shown = rows;
      numbered = ofSeveral;
      const whole = Math.max(1, shown.length * HEIGHT), height = Math.min(whole, HIGHEST);
      const room = box.clientHeight;
      factor = height > room && whole > height ? (whole - room) / (height - room) : 1;
      inner.style.height = `${height}px`;
      clear();
      draw();
    },
    mark(row, place) {
      selected = row;
      const at = top(place), room = box.clientHeight, now = box.scrollTop + offset();
      if (at < now + HEIGHT || at + 2 * HEIGHT > now + room) box.scrollTop = Math.max(0, at - room / 2) / factor;
      draw();
      for (const line of drawn.values()) line.setAttribute("aria-selected", String(Number(line.dataset.row) === row));
      box.setAttribute("aria-activedescendant", `row-${row}`);
    },
  };
}

function states(data, row) {
  const packed = data.rows.s[row];
  return [packed >> 4, packed & 15].map((state) => (state === 0 ? "" : state === 15 ? "?" : data.states[state - 1]));
}
