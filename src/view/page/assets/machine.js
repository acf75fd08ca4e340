// The state machine of a connection (RFC 9293, section 3.3.2, figure 5), once for each end. The current state is lit.
const PLACES = {
  "CLOSED": [160, 16], "LISTEN": [62, 60], "SYN-SENT": [258, 60], "SYN-RECEIVED": [62, 106], "ESTABLISHED": [160, 140],
  "FIN-WAIT-1": [62, 178], "CLOSE-WAIT": [258, 178], "FIN-WAIT-2": [62, 224], "CLOSING": [160, 224], "LAST-ACK": [258, 224],
  "TIME-WAIT": [160, 268],
};
const WAYS = [
  ["CLOSED", "LISTEN"], ["CLOSED", "SYN-SENT"], ["LISTEN", "SYN-RECEIVED"], ["SYN-SENT", "SYN-RECEIVED"],
  ["SYN-SENT", "ESTABLISHED"], ["SYN-RECEIVED", "ESTABLISHED"], ["SYN-RECEIVED", "FIN-WAIT-1"],
  ["ESTABLISHED", "FIN-WAIT-1"], ["ESTABLISHED", "CLOSE-WAIT"], ["FIN-WAIT-1", "FIN-WAIT-2"], ["FIN-WAIT-1", "CLOSING"],
  ["CLOSE-WAIT", "LAST-ACK"], ["FIN-WAIT-2", "TIME-WAIT"], ["CLOSING", "TIME-WAIT"], ["LAST-ACK", "CLOSED"], ["TIME-WAIT", "CLOSED"],
];
const HALF = [47, 11];

// Where the way from the middle of a box to another point leaves the box.
function edge([x, y], [toX, toY]) {
  const dx = toX - x, dy = toY - y;
  const part = Math.min(HALF[0] / Math.max(Math.abs(dx), 0.01), HALF[1] / Math.max(Math.abs(dy), 0.01));
  return [x + dx * part, y + dy * part];
}

function way(from, to) {
  if (to === "CLOSED" && from === "LAST-ACK") return "M305 224 L312 224 L312 16 L209 16";
  if (to === "CLOSED") return "M113 268 L8 268 L8 16 L111 16";
  const [x1, y1] = edge(PLACES[from], PLACES[to]), [x2, y2] = edge(PLACES[to], PLACES[from]);
  return `M${x1} ${y1} L${x2} ${y2}`;
}

function Machine(names) {
  const boxes = ["left", "right"].map((side, number) => {
    const holder = element("div", "side");
    holder.dataset.side = side;
    const title = element("h3");
    const svg = drawing("svg", { viewBox: "0 0 320 284", role: "img" });
    const marker = drawing("marker", { id: `head-${side}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    marker.append(drawing("path", { d: "M0 0 L8 4 L0 8 Z" }));
    const definitions = drawing("defs", {});
    definitions.append(marker);
    svg.append(definitions);
    for (const [from, to] of WAYS) svg.append(drawing("path", { d: way(from, to), "marker-end": `url(#head-${side})` }));
    const groups = {};
    for (const [name, [x, y]] of Object.entries(PLACES)) {
      const group = drawing("g", { "data-state": name, "data-lit": "false" });
      group.append(drawing("rect", { x: x - HALF[0], y: y - HALF[1], width: 2 * HALF[0], height: 2 * HALF[1], rx: 4 }));
      const label = drawing("text", { x, y: y + 3.5 });
      label.textContent = name;
      group.append(label);
      svg.append(group);
      groups[name] = group;
    }
    holder.append(title, svg);
    byId("machine").append(holder);
    return { title, svg, groups, number };
  });
  return (ends, ofFlow) => {
    for (const box of boxes) {
      const place = ends ? ends[box.number].numbers[0] : -1;
      const state = place >= 0 ? names[place] : "unknown";
      const told = ends && (ends[box.number].numbers[TOLD] & 1);
      box.title.textContent = `${ofFlow[box.number]}: ${told || place < 0 ? "" : "~"}${state}`;
      box.svg.setAttribute("aria-label", `State of ${ofFlow[box.number]}: ${state}`);
      for (const [name, group] of Object.entries(box.groups)) group.setAttribute("data-lit", String(name === state));
    }
  };
}
