// The cursor, and everything that moves it: buttons, keys, slider, filter, the address. Every part is told where it is.
const MOST_LISTED = 1000;

async function start() {
  const data = await load();
  byId("loading").remove();
  data.isRun = data.rows.v.some((way) => way >= 0);
  const filter = byId("filter"), slider = byId("slider");
  data.flows.slice(0, MOST_LISTED).forEach(([left, right], number) => {
    const option = element("option", "", `${number}: ${left} – ${right}`);
    option.value = String(number);
    filter.append(option);
  });
  if (data.flows.length > MOST_LISTED) {
    const option = element("option", "", `${grouped(data.flows.length - MOST_LISTED)} more are not listed`);
    option.disabled = true;
    filter.append(option);
  }
  if (data.count === 0) { byId("packet-words").textContent = "There is nothing to show: no packet, no call."; return; }

  let shown = [], place = 0;
  const ladder = Ladder(data, (row) => select(row));
  const machine = Machine(data.states), space = Space(), variables = Variables(data);
  const nearest = (time, flow) => {
    const rows = shown.filter((row) => flow < 0 || data.rows.f[row] === flow || data.rows.f[row] < 0);
    let best = rows[0];
    for (const row of rows) if (Math.abs(data.rows.t[row] - time) < Math.abs(data.rows.t[best] - time)) best = row;
    if (best !== undefined) select(best);
  };
  const plots = Plots(data, { nearest });

  function select(row) {
    place = Math.max(0, placeOf(shown, row));
    row = shown[place];
    const rows = data.rows, number = rows.p[row];
    const flow = rows.f[row] >= 0 ? rows.f[row] : filter.value === "all" ? -1 : Number(filter.value);
    const names = flow >= 0 ? data.flows[flow] : ["left", "right"];
    const whose = flow >= 0 && data.flows.length > 1 ? `#${flow} ` : "";
    byId("left-name").textContent = flow >= 0 ? whose + names[0] : "";
    byId("right-name").textContent = flow >= 0 ? names[1] : "";
    byId("left-head").textContent = names[0];
    byId("right-head").textContent = names[1];
    slider.value = String(place);
    const time = `${seconds(rows.t[row])} s`;
    byId("time").textContent = time;
    slider.setAttribute("aria-valuetext", number > 0 ? `packet ${number} at ${time}` : time);
    ladder.mark(row, place);
    showPacket(data, row);
    const { ends, changes } = flow >= 0 ? endsAt(data, flow, row) : { ends: null, changes: null };
    machine(ends, names);
    space(ends, names);
    variables(ends, changes, rows.t[row]);
    plots.mark(rows.t[row], flow);
    byId("status").textContent = `${number > 0 ? `packet ${number}, ` : ""}${time}: ${rows.x[row]} ${rows.w[row] || states(data, row).filter(Boolean).join(", ")}`;
    if (number > 0) history.replaceState(null, "", `#p=${number}`);
  }

  function show(keep) {
    const flow = filter.value === "all" ? -1 : Number(filter.value);
    shown = flow < 0 ? Array.from({ length: data.count }, (_, row) => row) : data.ofFlow[flow];
    if (shown.length === 0) shown = Array.from({ length: data.count }, (_, row) => row);
    slider.max = String(shown.length - 1);
    ladder.show(shown, flow < 0 && data.flows.length > 1);
    select(keep);
  }

  const to = (at) => select(shown[Math.min(Math.max(at, 0), shown.length - 1)]);
  function find(mark, name) {
    for (let at = place + 1; at < shown.length; at++) if (data.rows.m[shown[at]] & mark) { to(at); return; }
    byId("status").textContent = `There is no further ${name}.`;
  }
  const actions = {
    first: () => to(0), previous: () => to(place - 1), next: () => to(place + 1), last: () => to(shown.length - 1),
    "next-loss": () => find(MARK.loss | MARK.lost, "loss"), "next-retransmission": () => find(MARK.again, "retransmission"), "next-state": () => find(MARK.state, "change of a state"),
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const keys = {
    ArrowRight: "next", ArrowDown: "next", j: "next", ArrowLeft: "previous", ArrowUp: "previous", k: "previous",
    Home: "first", End: "last", l: "next-loss", r: "next-retransmission", s: "next-state",
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.target.id === "packet-bytes" && event.key.startsWith("Arrow")) return;
    if (keys[event.key]) actions[keys[event.key]]();
    else if (event.key === "+" || event.key === "=") plots.zoom(0.5);
    else if (event.key === "-") plots.zoom(2);
    else if (event.key === "0") plots.all();
    else return;
    event.preventDefault();
  });
  slider.addEventListener("input", () => to(Number(slider.value)));
  filter.addEventListener("change", () => show(shown[place]));
  const fromAddress = () => {
    const found = /^#p=(\d+)$/.exec(location.hash);
    return found ? data.ofPacket.get(Number(found[1])) : undefined;
  };
  window.addEventListener("hashchange", () => {
    const row = fromAddress();
    if (row === undefined) return;
    if (placeOf(shown, row) < 0 || shown[placeOf(shown, row)] !== row) { filter.value = "all"; show(row); } else select(row);
  });
  byId("scheme").addEventListener("click", () => { scheme(document.documentElement.dataset.scheme !== "dark"); plots.draw(); });
  show(fromAddress() ?? data.open);
}

function scheme(dark) {
  document.documentElement.dataset.scheme = dark ? "dark" : "light";
  byId("scheme").textContent = dark ? "Light" : "Dark";
}

scheme(matchMedia("(prefers-color-scheme: dark)").matches);
start().catch((error) => {
  const notice = byId("loading") || document.querySelector("main").appendChild(element("p", "notice"));
  notice.textContent = `The page cannot be drawn: ${error.message}. It needs a browser of 2023 or later.`;
});
