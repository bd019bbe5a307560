/* The report's page. Everything that comes from the data goes in as text, never as markup. */
(function () {
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function add(parent, children) {
	for (const c of children.flat(Infinity))
		if (c !== null && c !== undefined && c !== "")
			parent.append(c);
	return parent;
}

function el(name, attributes, ...children) {
	const e = document.createElement(name);
	for (const [k, v] of Object.entries(attributes || {})) {
		if (k === "on")
			for (const [event, f] of Object.entries(v))
				e.addEventListener(event, f);
		else
			e.setAttribute(k, v);
	}
	return add(e, children);
}

function svg(name, attributes, ...children) {
	const e = document.createElementNS(SVG, name);
	for (const [k, v] of Object.entries(attributes || {}))
		e.setAttribute(k, v);
	return add(e, children);
}

const format = new Intl.NumberFormat("en");
const number = (n) => format.format(n);
const short = (id) => id.startsWith("tt1_") ? id.slice(0, 14) + "…" : id;
const cut = (text, n) => text.length > n ? text.slice(0, n - 1) + "…" : text;
/* Paths begin alike: their end says more. */
const tail = (text, n) => text.length > n ? "…" + text.slice(1 - n) : text;
const day = (iso) => iso ? iso.slice(0, 10) : "";
const minute = (s) => s ? new Date(s * 1000).toISOString().slice(0, 16).replace("T", " ") : "";

/* ---- CSV, as base/csv.c writes it ---- */

function cell(value) {
	const text = String(value ?? "");
	const formula = /^[=+\-@\t\r]/.test(text);
	if (!formula && !/[",\r\n]|^ /.test(text))
		return text;
	return '"' + (formula ? "'" : "") + text.replaceAll('"', '""') + '"';
}

function download(name, rows) {
	const text = rows.map((r) => r.map(cell).join(",")).join("\r\n") + "\r\n";
	const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
	const a = el("a", { href: url, download: name });
	document.body.append(a);
	a.click();
	a.remove();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const REVIEW = ["token", "name", "class", "kind", "owner", "owner_confidence", "state", "uses", "first_use", "last_use",
	"minted", "expires", "privilege_score", "scopes", "used_rights", "unused_rights", "observed_days", "why", "decision", "reviewer"];

function review(t) {
	return [t.id, t.name, t.class, t.kind, t.owner?.name, t.owner?.confidence, t.state, t.uses, t.first, t.last, t.minted,
		t.expires, t.privilege?.score ?? 0, (t.scopes || []).join(" "), (t.rights?.used || []).join(" "), (t.rights?.unused || []).join(" "),
		t.rights?.observed_days || "", t.reasons.map((r) => r.text).join("; "), "", ""];
}

/* ---- the five answers ---- */

function chip(text, kind) {
	return el("span", { class: "chip " + kind }, text);
}

function bars(title, rows) {
	if (!rows || !rows.length)
		return null;
	const most = Math.max(...rows.map((r) => r.count));
	return el("details", { open: "" }, el("summary", {}, title), el("div", { class: "bars" }, rows.map((r) => [
		el("span", {}, r.name),
		svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
			svg("rect", { class: "bar", width: Math.max(1, 100 * r.count / most), height: 10 })),
		el("span", {}, number(r.count)),
	])));
}

function owned(t) {
	if (!t.owner)
		return "owner unknown";
	return "owner " + t.owner.name + (t.owner.confidence ? " (" + t.owner.confidence + ")" : "");
}

/* Granted minus used; without a word of the server about what requests need, only what is granted. */
function rights(t) {
	const r = t.rights;
	if (!r)
		return null;
	const names = (title, kind, all) => all?.length ? el("div", { class: "rights" }, el("span", {}, title), " ",
		all.slice(0, 12).map((name) => [el("code", { class: kind }, name), " "]), all.length > 12 ? "and " + number(all.length - 12) + " more" : null) : null;
	const known = (r.used?.length || 0) + (r.unused?.length || 0);
	return [names("granted", "", [...(r.granted || []), ...(r.roles || [])]), names("used", "used", r.used), names("not used", "unused", r.unused),
		known ? el("div", { class: "facts" }, `seen for ${number(r.observed_days)} days and ${number(r.uses)} uses`) : null];
}

function tokenItem(t) {
	return el("li", {},
		el("span", { class: "who" }, t.name || t.class || "token"), " ",
		el("button", { type: "button", class: "id", "aria-label": "Show " + t.id + " in the table", on: { click: () => showToken(t.id) } },
			short(t.id)), " ",
		t.privilege?.score ? chip("score " + t.privilege.score, t.privilege.score >= 60 ? "low" : "medium") : null,
		el("div", { class: "facts" }, [t.kind, owned(t), t.last ? "last used " + day(t.last) : "never used"].filter(Boolean).join(" · ")),
		rights(t),
		el("ul", {}, t.reasons.map((r) => el("li", {}, r.text, r.since ? " (since " + day(r.since) + ")" : ""))));
}

function serviceItem(s) {
	return el("li", {}, el("span", { class: "who" }, s.workload), " ", s.baseline ? chip("baseline: " + s.baseline, "plain") : null,
		el("div", { class: "facts" }, "from " + s.issuer),
		el("ul", {}, s.reasons.map((r) => el("li", {}, r.text, r.since ? " (since " + day(r.since) + ")" : ""))));
}

const STEP = 50;

/* Long lists grow by a button, so that the page is there at once. */
function list(items, make) {
	const ul = el("ul", { class: "list" });
	let shown = 0;
	const more = el("button", { type: "button", on: { click: grow } });
	function grow() {
		for (const item of items.slice(shown, shown + STEP))
			ul.append(make(item));
		shown = Math.min(items.length, shown + STEP);
		more.hidden = shown === items.length;
		more.textContent = "Show more (" + number(items.length - shown) + ")";
	}
	grow();
	return [ul, more];
}

const WHAT = {
	active: (a) => [`in the last ${data.window_hours} h, of ${number(a.of)} known`,
		`Last day ${number(a.last_day)}, week ${number(a.last_week)}, month ${number(a.last_month)}; ` +
		`${number(a.lineages)} when rotations of one token count once; ${number(a.minted_unused)} minted here and not used yet.`],
	excessive: (a) => [`of ${number(a.of)} that are alive`,
		`A privilege score of 60 or more, or rights that were granted and not used. Rights are known of ${number(a.rights_known)}, ` +
		`unknown of ${number(a.rights_unknown)}.`],
	unused: (a) => [`of ${number(a.of)} known`,
		`${number(a.never_seen)} never used, ${number(a.idle)} silent for ${data.unused_days} days of watching. Left out: ` +
		`${number(a.expired)} expired or revoked, ${number(a.replaced)} replaced. Never used so far: ${number(a.never_seen_so_far)}.`],
	minting: (a) => [`of ${number(a.of)} services that mint`, "Rates far from the usual, loops, and tokens that nobody uses."],
	places: (a) => [`of ${number(a.of)} used`,
		`New workloads, destinations and networks; use by another than the minter; sharing. Usual places are known of ${number(a.learned)}.`],
};

function card(name) {
	const a = data.answers[name];
	const [of, text] = WHAT[name](a);
	const items = a.tokens || a.services || [];
	const title = "q-" + name;
	return el("article", { class: "card" + (name === "active" ? " wide" : ""), id: "answer-" + name, "aria-labelledby": title },
		el("h3", { id: title }, a.question),
		el("p", { class: "count" }, a.answered === "no" ? "?" : number(a.count), " ", el("small", {}, a.answered === "no" ? "can't be answered yet" : of)),
		el("p", { class: "facts" }, text),
		a.why_not ? el("p", { class: "note" }, (a.answered === "partly" ? "Only in part: " : "") + a.why_not + (a.from ? "; from " + day(a.from) : "") + ".") : null,
		el("p", { class: "facts" }, chip("confidence " + a.confidence, a.confidence), " known since " + (day(a.known_since) || "never")),
		a.because.length ? el("details", {}, el("summary", {}, "Why not surer"), el("ul", {}, a.because.map((b) => el("li", {}, b)))) : null,
		name === "active" ? el("div", { class: "split" }, bars("By class", a.by_class), bars("By kind", a.by_kind), bars("By owner", a.by_owner)) : null,
		items.length ? el("details", { open: "" }, el("summary", {}, a.services ? "Services" : "Tokens"), list(items, a.services ? serviceItem : tokenItem)) : null,
		a.tokens && items.length ? el("p", {}, el("button", { type: "button", "data-csv": name, on: { click: () => download(name + ".csv", [REVIEW, ...a.tokens.map(review)]) } },
			"Download as CSV")) : null);
}

/* ---- who uses which token where ---- */

/* The largest of one column; the rest is one node. */
function top(flows, key, label, max) {
	const sums = new Map();
	for (const f of flows)
		sums.set(f[key], (sums.get(f[key]) || 0) + f[4]);
	const order = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
	const kept = new Map(order.slice(0, max).map(([name], i) => [name, i]));
	const rest = order.length - kept.size;
	const nodes = [...kept.keys()].map((name) => ({ name, label: label(name), value: 0 }));
	if (rest)
		nodes.push({ name: "", label: number(rest) + " others", value: 0 });
	return { nodes, at: (name) => nodes[kept.has(name) ? kept.get(name) : kept.size] };
}

function place(nodes, x, scale) {
	let y = 24;
	for (const n of nodes) {
		n.x = x;
		n.y = y;
		n.h = Math.max(16, n.value * scale);
		n.in = n.out = 0;
		y += n.h + 7;
	}
	return y;
}

function ribbon(a, b, value, kind, title) {
	const ha = a.h * value / a.value, hb = b.h * value / b.value2;
	const x0 = a.x + 14, x1 = b.x, y0 = a.y + a.out, y1 = b.y + b.in, m = (x0 + x1) / 2;
	a.out += ha;
	b.in += hb;
	return svg("path", { class: kind, d: `M${x0},${y0}C${m},${y0} ${m},${y1} ${x1},${y1}v${hb}C${m},${y1 + hb} ${m},${y0 + ha} ${x0},${y0 + ha}z` },
		svg("title", {}, title));
}

function links(flows, from, to, a, b) {
	const sums = new Map();
	for (const f of flows) {
		const x = a.at(f[from]), y = b.at(f[to]);
		if (!sums.has(x))
			sums.set(x, new Map());
		sums.get(x).set(y, (sums.get(x).get(y) || 0) + f[4]);
	}
	const all = [];
	for (const x of a.nodes)
		for (const y of b.nodes)
			if (sums.get(x)?.has(y))
				all.push([x, y, sums.get(x).get(y)]);
	return all;
}

function sankey() {
	const flows = data.flows;
	if (!flows.length)
		return el("p", { class: "facts" }, "No use was seen yet.");
	const names = new Map(flows.map((f) => [f[1], f[2]]));
	const who = top(flows, 0, (n) => n, 10), token = top(flows, 1, (n) => (names.get(n) || "token") + " " + n.slice(4, 10), 14), where = top(flows, 3, (n) => n, 10);
	const first = links(flows, 0, 1, who, token), second = links(flows, 1, 3, token, where);
	for (const n of [...who.nodes, ...token.nodes, ...where.nodes])
		n.value = n.value2 = 0;
	let total = 0;
	for (const f of flows) {
		who.at(f[0]).value += f[4];
		token.at(f[1]).value += f[4];
		where.at(f[3]).value += f[4];
		total += f[4];
	}
	for (const n of [...token.nodes, ...where.nodes])
		n.value2 = n.value;
	const scale = 300 / total;
	const height = Math.max(place(who.nodes, 250, scale), place(token.nodes, 540, scale), place(where.nodes, 830, scale)) + 4;
	const picture = svg("svg", { viewBox: `0 0 1100 ${height}`, role: "group", "aria-labelledby": "sankey-title" },
		svg("title", { id: "sankey-title" }, "Requests from workloads through tokens to services"));
	for (const [x, y, v] of first)
		picture.append(ribbon(x, y, v, "link", `${x.label} → ${y.label}: ${number(v)} requests`));
	for (const [x, y, v] of second)
		picture.append(ribbon(x, y, v, "link2", `${x.label} → ${y.label}: ${number(v)} requests`));
	for (const [label, x, anchor] of [["who", 264, "end"], ["token", 547, "middle"], ["where", 830, "start"]])
		picture.append(svg("text", { x, y: 14, "text-anchor": anchor, class: "soft" }, label));
	for (const n of who.nodes)
		picture.append(svg("rect", { class: "c1", x: n.x, y: n.y, width: 14, height: n.h, rx: 3 }, svg("title", {}, n.label + ": " + number(n.value))),
			svg("text", { x: n.x - 8, y: n.y + n.h / 2 + 4, "text-anchor": "end" }, tail(n.label, 36), svg("title", {}, n.label)));
	for (const n of token.nodes) {
		const g = svg("g", n.name ? { role: "button", tabindex: "0", "aria-label": n.label + ", " + number(n.value) + " requests: show in the table" } : {},
			svg("rect", { class: "c2", x: n.x, y: n.y, width: 14, height: n.h, rx: 3 }, svg("title", {}, n.name || n.label)),
			svg("text", { x: n.x + 20, y: n.y + n.h / 2 + 4, class: "halo" }, cut(n.label, 32)));
		if (n.name) {
			g.addEventListener("click", () => showToken(n.name));
			g.addEventListener("keydown", (e) => {
				if (e.key === "Enter" || e.key === " ") {
					e.preventDefault();
					showToken(n.name);
				}
			});
		}
		picture.append(g);
	}
	for (const n of where.nodes)
		picture.append(svg("rect", { class: "c3", x: n.x, y: n.y, width: 14, height: n.h, rx: 3 }, svg("title", {}, n.label + ": " + number(n.value))),
			svg("text", { x: n.x + 20, y: n.y + n.h / 2 + 4 }, cut(n.label, 36), svg("title", {}, n.label)));
	return [el("div", { class: "picture" }, picture),
		data.flows_rest ? el("p", { class: "facts" }, number(data.flows_rest) + " requests of smaller flows are not in the picture.") : null,
		asTable("The same as a table", ["Who", "Token", "Where", "Requests"],
			flows.slice(0, 200).map((f) => [f[0], (f[2] ? f[2] + " " : "") + short(f[1]), f[3], number(f[4])]), [3])];
}

function asTable(title, heads, rows, numbers) {
	const box = el("div", { class: "scroll" });
	const d = el("details", {}, el("summary", {}, title), box);
	/* Made when it is opened: few do. */
	d.addEventListener("toggle", () => {
		if (!d.open || box.firstChild)
			return;
		const kind = (i) => numbers.includes(i) ? { class: "number" } : {};
		box.append(el("table", {}, el("caption", { class: "hidden" }, title),
			el("thead", {}, el("tr", {}, heads.map((h, i) => el("th", { scope: "col", ...kind(i) }, h)))),
			el("tbody", {}, rows.map((r) => el("tr", {}, r.map((c, i) => el("td", kind(i), c)))))));
	});
	return d;
}

/* ---- timeline ---- */

function timeline() {
	const hours = data.hours;
	if (!hours.length)
		return el("p", { class: "facts" }, "Nothing was watched yet.");
	const begin = hours[0][0], end = hours[hours.length - 1][0] + 1;
	const size = end - begin > 24 * 5 ? 24 : 1;	/* hours of a bar */
	const base = Math.floor(begin / size), count = Math.ceil(end / size) - base;
	const sums = Array.from({ length: count }, () => [0, 0, 0, 0]);
	for (const [hour, uses, mints, failed] of hours) {
		const s = sums[Math.floor(hour / size) - base];
		s[0] += uses;
		s[1] += mints;
		s[2] += failed;
		s[3]++;
	}
	const width = 1000 / count, bar = Math.max(0.5, width * 0.82);
	const picture = svg("svg", { viewBox: "0 0 1100 270", role: "img", "aria-labelledby": "time-svg" },
		svg("title", { id: "time-svg" }, "Requests with tokens, and minted tokens, for each " + (size === 24 ? "day" : "hour")));
	const label = (i) => new Date((base + i) * size * 3600000).toISOString().slice(0, size === 24 ? 10 : 16).replace("T", " ");
	const most = [Math.max(1, ...sums.map((s) => s[0])), Math.max(1, ...sums.map((s) => s[1] + s[2]))];
	sums.forEach((s, i) => {
		const x = 80 + i * width;
		if (s[3] < size)
			picture.append(svg("rect", { class: "gap", x, y: 20, width, height: 210 * (1 - s[3] / size) }, svg("title", {}, label(i) + ": not watched all the time")));
		const h = s[0] ? Math.max(1, 110 * s[0] / most[0]) : 0;
		const m = s[1] ? Math.max(1, 60 * s[1] / most[1]) : 0, f = s[2] ? Math.max(1, 60 * s[2] / most[1]) : 0;
		if (h)
			picture.append(svg("rect", { class: "bar", x, y: 140 - h, width: bar, height: h }, svg("title", {}, `${label(i)}: ${number(s[0])} requests`)));
		if (m)
			picture.append(svg("rect", { class: "bar2", x, y: 230 - m, width: bar, height: m }, svg("title", {}, `${label(i)}: ${number(s[1])} mints`)));
		if (f)
			picture.append(svg("rect", { class: "bad", x, y: 230 - m - f, width: bar, height: f }, svg("title", {}, `${label(i)}: ${number(s[2])} failed mints`)));
	});
	for (const [y, text, max] of [[140, "requests", most[0]], [230, "mints", most[1]]])
		picture.append(svg("line", { class: "axis", x1: 80, x2: 1080, y1: y, y2: y }), svg("text", { x: 72, y, "text-anchor": "end" }, text),
			svg("text", { x: 72, y: y - (y === 140 ? 100 : 52), "text-anchor": "end", class: "soft" }, number(max)));
	for (let i = 0; i < 6; i++) {
		const at = Math.min(count - 1, Math.round(i * (count - 1) / 5));
		if (i && count < 6 && i >= count)
			break;
		picture.append(svg("text", { x: 80 + at * width, y: 252, class: "soft", "text-anchor": i === 5 ? "end" : i ? "middle" : "start" }, label(at)));
	}
	return [el("div", { class: "picture" }, picture),
		asTable("The same as a table", [size === 24 ? "Day" : "Hour", "Requests", "Mints", "Failed mints", "Hours watched"],
			sums.map((s, i) => [label(i), number(s[0]), number(s[1]), number(s[2]), number(s[3])]).reverse().slice(0, 400), [1, 2, 3, 4])];
}

/* ---- all tokens ---- */

const COLUMNS = [
	["Token", 0, "id"], ["Class", 1], ["Kind", 2], ["Name", 3], ["Owner", 4], ["State", 6], ["Uses", 7, "number"], ["First used", 8, "time"],
	["Last used", 9, "time"], ["Expires", 10, "time"], ["Privilege", 11, "number"], ["Issuer", 12],
];
const PAGE = 50;
const table = { rows: data.tokens.slice(), found: [], sort: 8, down: true, page: 0 };
const texts = new Map(data.tokens.map((t) => [t, [t[0], t[1], t[2], t[3], t[4], t[12]].join("\n").toLowerCase()]));

function sorted(column, down) {
	const at = COLUMNS[column][1], sign = down ? -1 : 1;
	/* What is not known is at the end, whichever way. */
	const empty = (v) => v === "" || (v === 0 && COLUMNS[column][2] === "time");
	table.rows.sort((a, b) => {
		const x = a[at], y = b[at];
		if (empty(x) !== empty(y))
			return empty(x) ? 1 : -1;
		return (x < y ? -1 : x > y ? 1 : 0) * sign || (a[0] < b[0] ? -1 : 1);
	});
}

function filtered() {
	const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
	const [c, k, s] = ["by-class", "by-kind", "by-state"].map((id) => $(id).value);
	table.found = table.rows.filter((t) => (!c || t[1] === c) && (!k || t[2] === k) && (!s || t[6] === s) &&
		words.every((w) => texts.get(t).includes(w)));
	table.page = 0;
	draw();
}

function tableCell(t, [, at, kind], i) {
	if (i === 0)
		return el("th", { scope: "row", class: "id", title: t[at] }, short(t[at]));
	if (kind === "number")
		return el("td", { class: "number" }, at === 11 && !t[at] ? "" : number(t[at]));
	if (kind === "time")
		return el("td", {}, minute(t[at]));
	if (at === 6)
		return el("td", {}, chip(t[at], t[at] === "revoked" || t[at] === "expired" ? "low" : t[at] === "used" ? "high" : "plain"));
	if (at === 4)
		return el("td", { title: t[4] }, tail(t[4], 40), t[5] ? " (" + t[5] + ")" : "");
	return el("td", { title: t[at] }, cut(t[at], 44));
}

function draw() {
	const pages = Math.max(1, Math.ceil(table.found.length / PAGE));
	table.page = Math.min(table.page, pages - 1);
	const rows = table.found.slice(table.page * PAGE, (table.page + 1) * PAGE);
	$("rows").replaceChildren(...rows.map((t) => el("tr", {}, COLUMNS.map((c, i) => tableCell(t, c, i)))));
	$("shown").textContent = `${number(table.found.length)} of ${number(data.tokens.length)} tokens` +
		(data.tokens_all > data.tokens.length ? ` (the latest of ${number(data.tokens_all)}; --json has the lists whole)` : "");
	$("page").textContent = `Page ${number(table.page + 1)} of ${number(pages)}`;
	$("first").disabled = $("previous").disabled = table.page === 0;
	$("next").disabled = $("last").disabled = table.page === pages - 1;
	[...$("heads").children].forEach((th, i) => th.setAttribute("aria-sort", i === table.sort ? (table.down ? "descending" : "ascending") : "none"));
}

function showToken(id) {
	for (const name of ["by-class", "by-kind", "by-state"])
		$(name).value = "";
	$("search").value = id;
	filtered();
	$("tokens").scrollIntoView();
	$("search").focus({ preventScroll: true });
}

function choices(id, at) {
	const counts = new Map();
	for (const t of data.tokens)
		counts.set(t[at], (counts.get(t[at]) || 0) + 1);
	$(id).append(el("option", { value: "" }, "any"));
	for (const [name, n] of [...counts].sort((a, b) => b[1] - a[1]))
		if (name)
			$(id).append(el("option", { value: name }, `${name} (${number(n)})`));
	$(id).addEventListener("change", filtered);
}

function heads() {
	COLUMNS.forEach(([title, , kind], i) => {
		const click = () => {
			table.down = table.sort === i ? !table.down : kind === "number" || kind === "time";
			table.sort = i;
			sorted(i, table.down);
			filtered();
		};
		$("heads").append(el("th", { scope: "col", class: kind === "number" ? "number" : "" }, el("button", { type: "button", on: { click } }, title)));
	});
}

function tokens() {
	heads();
	choices("by-class", 1);
	choices("by-kind", 2);
	choices("by-state", 6);
	let timer = 0;
	$("search").addEventListener("input", () => {
		clearTimeout(timer);
		timer = setTimeout(filtered, 80);
	});
	$("filters").addEventListener("submit", (e) => e.preventDefault());
	const go = (f) => () => {
		table.page = f(Math.ceil(table.found.length / PAGE) - 1);
		draw();
	};
	$("first").addEventListener("click", go(() => 0));
	$("previous").addEventListener("click", go(() => table.page - 1));
	$("next").addEventListener("click", go(() => table.page + 1));
	$("last").addEventListener("click", go((n) => n));
	$("table-csv").addEventListener("click", () => download("tokens.csv", [COLUMNS.map((c) => c[0]),
		...table.found.map((t) => COLUMNS.map(([, at, kind]) => kind === "time" ? minute(t[at]) : t[at]))]));
	sorted(table.sort, table.down);
	filtered();
}

/* ---- what was not seen ---- */

function coverage() {
	const c = data.coverage, w = data.watched, share = (x) => (Math.floor(x * 1000) / 10) + " %";
	const list = (rows) => el("ul", {}, rows.map((r) => el("li", {}, r)));
	return [
		el("p", {}, c.share === undefined ? "No TLS was measured yet." : share(c.share) + " of the bytes on TLS sockets were seen into.", " ",
			w.since ? `Watched since ${day(w.since)}, ${number(w.hours)} hours` + (w.share === undefined ? "" : ` (${share(Math.min(1, w.share))} of the time)`) + "." : ""),
		el("h3", {}, "Processes whose TLS is not seen"),
		c.blind.length ? list(c.blind.map((b) => `${b.executable || "unknown"}: ${number(b.processes)} (${b.reason || "reason unknown"})`)) : el("p", { class: "facts" }, "None."),
		el("h3", {}, "What was lost"),
		c.losses.length ? list(c.losses.map((l) => `${l.reason}: ${number(l.count)}, last ${day(l.last)}`)) : el("p", { class: "facts" }, "Nothing."),
	];
}

/* ---- light and dark ---- */

function theme() {
	const system = matchMedia("(prefers-color-scheme: dark)");
	let chosen = null;
	const show = () => $("theme").setAttribute("aria-pressed", String(chosen ?? system.matches));
	$("theme").addEventListener("click", () => {
		chosen = !(chosen ?? system.matches);
		document.documentElement.dataset.theme = chosen ? "dark" : "light";
		show();
	});
	system.addEventListener("change", show);
	show();
}

const node = data.node?.name;
$("title").textContent = node ? "Tokens in use on " + node : "Tokens in use";
document.title = $("title").textContent + ": tokentrail report";
$("about").textContent = `${minute(Date.parse(data["@timestamp"]) / 1000)} UTC` + (data.watched.since ? ` · watched since ${day(data.watched.since)}` : "") +
	(data.coverage.share === undefined ? "" : ` · ${Math.floor(data.coverage.share * 100)} % of TLS bytes seen`);
theme();
add($("cards"), Object.keys(WHAT).map(card));
tokens();
add($("sankey"), [sankey()].flat());
add($("timeline"), [timeline()].flat());
add($("coverage"), coverage());
document.documentElement.dataset.ready = "yes";
})();
