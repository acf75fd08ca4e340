// The panel of a packet: its words, the fields of its headers, its bytes. Fields are read from the bytes that the page has.
const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
const PROTOCOLS = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };

const hex = (number, digits) => number.toString(16).padStart(digits, "0");

function fieldsOf(data, row, bytes) {
  const fields = [];
  const word = (at, length) => { let value = 0; for (let i = 0; i < length; i++) value = value * 256 + bytes[at + i]; return value; };
  const has = (length) => bytes.length >= length;
  const group = (name) => fields.push({ group: name });
  const add = (name, value, at, length) => fields.push({ name, value: String(value), at, length });
  const version = has(1) ? bytes[0] >> 4 : 0;
  let at = 0, protocol = -1;
  if (version === 4 && has(20)) {
    at = (bytes[0] & 15) * 4;
    protocol = bytes[9];
    group("IPv4");
    add("header", `${at} bytes`, 0, 1);
    add("DSCP, ECN", `${bytes[1] >> 2}, ${bytes[1] & 3}`, 1, 1);
    add("total length", word(2, 2), 2, 2);
    add("identification", `0x${hex(word(4, 2), 4)}`, 4, 2);
    add("flags, offset", `${bytes[6] & 64 ? "DF " : ""}${bytes[6] & 32 ? "MF " : ""}${(word(6, 2) & 8191) * 8}`, 6, 2);
    add("time to live", bytes[8], 8, 1);
    add("protocol", PROTOCOLS[protocol] || protocol, 9, 1);
    add("checksum", `0x${hex(word(10, 2), 4)}`, 10, 2);
    add("source", Array.from(bytes.slice(12, 16)).join("."), 12, 4);
    add("destination", Array.from(bytes.slice(16, 20)).join("."), 16, 4);
  } else if (version === 6 && has(40)) {
    at = 40;
    protocol = bytes[6];
    const address = (from) => shortened(Array.from({ length: 8 }, (_, i) => word(from + 2 * i, 2)));
    group("IPv6");
    add("traffic class", word(0, 2) >> 4 & 255, 0, 2);
    add("flow label", `0x${hex(word(1, 3) & 0xfffff, 5)}`, 1, 3);
    add("payload length", word(4, 2), 4, 2);
    add("next header", PROTOCOLS[protocol] || protocol, 6, 1);
    add("hop limit", bytes[7], 7, 1);
    add("source", address(8), 8, 16);
    add("destination", address(24), 24, 16);
  }
  if (protocol === 6 && at >= 20 && has(at + 20)) {
    const rows = data.rows, segment = isSegment(data, row);
    const length = (bytes[at + 12] >> 4) * 4;
    group("TCP");
    add("source port", word(at, 2), at, 2);
    add("destination port", word(at + 2, 2), at + 2, 2);
    add("sequence number", segment ? `${rows.q[row]} (in the header ${word(at + 4, 4)})` : word(at + 4, 4), at + 4, 4);
    add("acknowledgment", segment && rows.a[row] >= 0 ? `${rows.a[row]} (in the header ${word(at + 8, 4)})` : word(at + 8, 4), at + 8, 4);
    add("header", `${length} bytes`, at + 12, 1);
    add("control bits", FLAGS.filter((_, bit) => bytes[at + 13] & (1 << bit)).join(" ") || "none", at + 13, 1);
    add("window", segment ? `${grouped(rows.d[row])} bytes (in the header ${word(at + 14, 2)})` : word(at + 14, 2), at + 14, 2);
    add("checksum", `0x${hex(word(at + 16, 2), 4)}`, at + 16, 2);
    if (bytes[at + 13] & 32) add("urgent pointer", word(at + 18, 2), at + 18, 2);
    optionsOf(bytes, at + 20, Math.min(at + length, bytes.length), word, add);
    if (segment) add("data", `${rows.l[row]} bytes`, at + length, Math.max(0, bytes.length - at - length));
  } else if (protocol === 17 && has(at + 8)) {
    group("UDP");
    add("source port", word(at, 2), at, 2);
    add("destination port", word(at + 2, 2), at + 2, 2);
    add("length", word(at + 4, 2), at + 4, 2);
    add("checksum", `0x${hex(word(at + 6, 2), 4)}`, at + 6, 2);
  } else if ((protocol === 1 || protocol === 58) && has(at + 4)) {
    group(PROTOCOLS[protocol]);
    add("type, code", `${bytes[at]}, ${bytes[at + 1]}`, at, 2);
    add("checksum", `0x${hex(word(at + 2, 2), 4)}`, at + 2, 2);
  }
  return fields;
}

function optionsOf(bytes, from, to, word, add) {
  let at = from;
  while (at < to && bytes[at] !== 0) {
    if (bytes[at] === 1) { at += 1; continue; }
    const length = bytes[at + 1];
    if (!(length >= 2) || at + length > to) { add("option", "its length is wrong", at, 1); return; }
    const kind = bytes[at];
    if (kind === 2 && length === 4) add("option MSS", word(at + 2, 2), at, length);
    else if (kind === 3 && length === 3) add("option window scale", `${bytes[at + 2]} (times ${2 ** Math.min(bytes[at + 2], 14)})`, at, length);
    else if (kind === 4) add("option", "SACK permitted", at, length);
    else if (kind === 5) add("option SACK", `${(length - 2) / 8} blocks`, at, length);
    else if (kind === 8 && length === 10) add("option timestamps", `TSval ${word(at + 2, 4)}, TSecr ${word(at + 6, 4)}`, at, length);
    else add(`option ${kind}`, `${length} bytes`, at, length);
    at += length;
  }
}

// An IPv6 address as RFC 5952 writes it.
function shortened(parts) {
  let best = [0, 0], run = 0;
  for (let i = 0; i <= 8; i++) {
    if (i < 8 && parts[i] === 0) { run += 1; continue; }
    if (run > best[1]) best = [i - run, run];
    run = 0;
  }
  const text = (list) => list.map((part) => part.toString(16)).join(":");
  return best[1] < 2 ? text(parts) : `${text(parts.slice(0, best[0]))}::${text(parts.slice(best[0] + best[1]))}`;
}

function showPacket(data, row) {
  const rows = data.rows, number = rows.p[row];
  byId("packet-title").textContent = number > 0 ? `Packet ${number}` : "No packet";
  const text = [rows.x[row], rows.w[row]].filter(Boolean).join("\n");
  byId("packet-words").textContent = text || states(data, row).filter(Boolean).join(" · ");
  const bytes = data.bytes.subarray(data.starts[row], data.starts[row + 1]);
  const fate = [`at ${seconds(rows.t[row], 9)} s`];
  if (number > 0) fate.push(`${rows.n[row]} bytes`);
  if (rows.v[row] >= 0) fate.push(`arrives ${duration(rows.v[row])} later`);
  if (number > 0 && bytes.length < rows.n[row]) fate.push(`the page has its first ${bytes.length} bytes`);
  byId("packet-fate").textContent = fate.join(", ");
  const body = byId("packet-fields").tBodies[0], dump = byId("packet-bytes");
  body.replaceChildren();
  dump.replaceChildren();
  byId("packet-fields").hidden = bytes.length === 0;
  dump.hidden = bytes.length === 0;
  for (const field of fieldsOf(data, row, bytes)) {
    const line = element("tr", field.group ? "group" : "");
    const head = element("th", "", field.group || field.name);
    head.scope = field.group ? "colgroup" : "row";
    line.append(head);
    if (field.group) { head.colSpan = 2; } else {
      line.append(element("td", "", field.value));
      line.dataset.from = field.at;
      const light = (on) => () => lightBytes(dump, field.at, field.at + field.length, on);
      line.addEventListener("mouseenter", light(true));
      line.addEventListener("mouseleave", light(false));
    }
    body.append(line);
  }
  for (let from = 0; from < bytes.length; from += 16) {
    const part = Array.from(bytes.slice(from, from + 16));
    dump.append(document.createTextNode(`${hex(from, 4)}  `));
    part.forEach((byte, i) => { const cell = element("span", "", `${hex(byte, 2)} `); cell.dataset.at = from + i; dump.append(cell); });
    const ascii = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    dump.append(document.createTextNode(`${"   ".repeat(16 - part.length)} ${ascii}\n`));
  }
}

function lightBytes(dump, from, to, on) {
  for (const cell of dump.querySelectorAll("span")) {
    const at = Number(cell.dataset.at);
    cell.className = on && at >= from && at < to ? "lit" : "";
  }
}
