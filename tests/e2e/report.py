#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The report's page in a real Chromium: 10,000 tokens in under two seconds, no script error, no request, texts
of strangers stay texts, search, sort, filter and pages, keyboard, both colour schemes, downloads.

SHOT=FILE.webp makes the README's picture instead (deploy/README.md).
"""
import csv
import glob
import html.parser
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import fake_store  # noqa: E402
import rig  # noqa: E402
from browser import Browser  # noqa: E402
from rig import case, finish, need, need_equal, run, work_dir  # noqa: E402

WORK = work_dir("report")
NOW = "2025-11-25T12:00:00Z"
READY = "document.documentElement?.dataset.ready === 'yes'"
TOKENS = 10000


def make(name, tokens, hostile):
    store, page = os.path.join(WORK, name + ".db"), os.path.join(WORK, name + ".html")
    fake_store.make(store, tokens, hostile=hostile)
    run([rig.TOKENTRAIL, "report", "--store", store, "--now", NOW, "--html", page])
    out = run([rig.TOKENTRAIL, "report", "--store", store, "--now", NOW, "--json"])[1]
    return store, page, json.loads(out)


def shown(b):
    return b.js("document.getElementById('shown').textContent")


def column(b, n):
    return b.js(f"[...document.querySelectorAll('#rows tr')].map(r => r.children[{n}].textContent)")


def search(b, text):
    b.js("document.getElementById('search').select(), document.getElementById('search').focus()")
    b.ask("Input.insertText", text=text)
    b.js("new Promise(r => setTimeout(r, 250))")


# sRGB contrast of WCAG 2.1 between every text and the nearest ground behind it that is painted.
CONTRAST = """
(() => {
	const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
	const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
		return .2126 * r + .7152 * g + .0722 * b; };
	const bad = [];
	for (const e of document.querySelectorAll('h1, h2, h3, p, a, button:not(:disabled), summary, li, td, th, .chip, label, small')) {
		if (!e.checkVisibility() || !e.textContent.trim()) continue;
		let ground = e;
		while (ground && rgb(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
		const a = light(rgb(getComputedStyle(e).color)), g = light(rgb(getComputedStyle(ground || document.body).backgroundColor));
		const ratio = (Math.max(a, g) + .05) / (Math.min(a, g) + .05);
		if (ratio < 4.5) bad.push(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
	}
	return [...new Set(bad)].slice(0, 5);
})()"""

# Every control and region has a name; tables have captions and scopes; ids are unique.
NAMED = """
(() => {
	const bad = [], ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
	ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => bad.push('twice ' + id));
	document.querySelectorAll('button, a, summary, [role=button]').forEach((e) => { if (!(e.getAttribute('aria-label') || e.textContent).trim()) bad.push('nameless ' + e.outerHTML.slice(0, 60)); });
	document.querySelectorAll('input, select').forEach((e) => { if (!e.labels.length) bad.push('no label ' + e.id); });
	document.querySelectorAll('table').forEach((t) => { if (!t.caption) bad.push('no caption'); });
	document.querySelectorAll('thead th').forEach((t) => { if (t.scope !== 'col') bad.push('no scope'); });
	document.querySelectorAll('svg[role=img], svg[role=group]').forEach((s) => { if (!document.getElementById(s.getAttribute('aria-labelledby'))) bad.push('no title'); });
	document.querySelectorAll('[aria-labelledby]').forEach((e) => { if (!document.getElementById(e.getAttribute('aria-labelledby'))) bad.push('label of nothing'); });
	for (const tag of ['header', 'main', 'footer', 'nav', 'h1']) if (!document.querySelector(tag)) bad.push('no ' + tag);
	return bad.slice(0, 5);
})()"""


class Finder(html.parser.HTMLParser):
    """The page's own elements, and addresses in them."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "srcset")]


def shot(path):
    """A picture for the README: small enough for the tree, palette by what is at hand."""
    _, page, _ = make("shot", 300, False)
    b = Browser(WORK)
    b.size(1280, 900)
    b.open(page, READY)
    bottom = b.js("document.querySelector('#flows .picture').getBoundingClientRect().bottom + scrollY + 16")
    b.js("document.querySelectorAll('.card:not(.wide) .list').forEach((l) => l.style.maxHeight = '11rem')")
    bottom = b.js("document.querySelector('#flows .picture').getBoundingClientRect().bottom + scrollY + 16")
    b.screenshot(path, x=0, y=0, width=1280, height=bottom)
    b.close()


def main():
    store, page, report = make("many", TOKENS, True)

    with case("the page asks for nothing and allows nothing"):
        with open(page, encoding="utf-8") as f:
            text = f.read()
        found = Finder()
        found.feed(text)
        need_equal(found.tags.count("script"), 2, "script elements")
        need(all(a.startswith(("#", "data:")) for a in found.addresses), f"addresses {found.addresses}")
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
        need(policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy, policy)
        need_equal(os.stat(page).st_mode & 0o777, 0o600, "mode of the page")

    with case("a report of a store is the same when it is made again"):
        again = os.path.join(WORK, "again.html")
        run([rig.TOKENTRAIL, "report", "--store", store, "--now", NOW, "--html", again])
        with open(again, encoding="utf-8") as f:
            need(f.read() == text, "two pages of one store differ")

    b = Browser(WORK)
    b.size(1280, 900)
    with case(f"{TOKENS} tokens open in under two seconds"):
        times = sorted(b.open(page, READY) for _ in range(3))
        need(times[1] < 2, f"{times} s")
        need(b.js("document.getElementById('rows').children.length") == 50, "rows of the first page")
        print(f"# opened in {times[0]:.2f} / {times[1]:.2f} / {times[2]:.2f} s, {os.path.getsize(page)} bytes")

    with case("no script error, no request, no text that runs"):
        need_equal(b.errors, [], "errors")
        need_equal([u for u in b.requests if not u.startswith(("file:", "data:"))], [], "requests")
        need(b.js("document.title").startswith("Tokens in use on worker-17"), b.js("document.title"))
        need_equal(b.js("document.querySelectorAll('img, iframe, object, embed').length"), 0, "elements from texts")
        for wrong in ("[object", "undefined", "NaN"):
            need_equal(b.js(f"document.querySelector('main').textContent.split('{wrong}').length - 1"), 0, f"'{wrong}' on the page")
        need(b.js("document.querySelectorAll('.bars svg').length") > 3, "bars of the first answer")
        need(b.js("[...document.querySelectorAll('#coverage li')].some((l) => l.textContent.includes('</script><script>'))"),
             "the hostile text is shown as text")

    with case("the five answers are those of --json"):
        for name, a in report["answers"].items():
            big = b.js(f"document.querySelector('#answer-{name} .count').firstChild.textContent")
            need_equal(big.replace(",", ""), "?" if a["answered"] == "no" else str(a["count"]), name)
            need(a["confidence"] in b.js(f"document.querySelector('#answer-{name} .chip').textContent"), f"confidence of {name}")
            need("known since 2025-07-08" in b.js(f"document.querySelector('#answer-{name}').textContent"), f"known since of {name}")

    with case("search"):
        search(b, "stripe_live")
        classes = set(column(b, 1))
        need_equal(classes, {"stripe_live"}, "classes found")
        one = b.js("document.querySelector('#rows th').title")
        search(b, one)
        need(shown(b).startswith("1 of 10,0"), shown(b))
        search(b, "no such token")
        need(shown(b).startswith("0 of"), shown(b))
        search(b, "")

    with case("sort by each column, both ways"):
        for n, title in enumerate(b.js("[...document.querySelectorAll('#heads button')].map((x) => x.textContent)")):
            ways = set()
            for _ in range(2):
                b.js(f"document.querySelectorAll('#heads button')[{n}].click()")
                way = b.js(f"document.querySelectorAll('#heads th')[{n}].getAttribute('aria-sort')")
                ways.add(way)
                raw = b.js("[...document.querySelectorAll('#rows th')].map((x) => x.title)") if n == 0 else column(b, n)
                values = [v for v in raw if v]
                if title in ("Uses", "Privilege"):
                    values = [int(v.replace(",", "")) for v in values]
                if title in ("Token", "Uses", "First used", "Last used", "Expires", "Privilege", "State"):
                    need_equal(values, sorted(values, reverse=way == "descending"), f"{title} {way}")
            need_equal(ways, {"ascending", "descending"}, title)

    with case("filters and pages"):
        b.js("(() => { const s = document.getElementById('by-state'); s.value = 'expired'; s.dispatchEvent(new Event('change')); })()")
        need_equal(set(column(b, 5)), {"expired"}, "states")
        b.js("(() => { const s = document.getElementById('by-state'); s.value = ''; s.dispatchEvent(new Event('change')); })()")
        first = b.js("document.querySelector('#rows th').title")
        b.js("document.getElementById('next').click()")
        need(b.js("document.querySelector('#rows th').title") != first, "the next page is another")
        b.js("document.getElementById('last').click()")
        need(b.js("document.getElementById('next').disabled"), "there is nothing behind the last page")
        b.js("document.getElementById('first').click()")
        need_equal(b.js("document.querySelector('#rows th').title"), first, "the first page again")

    with case("typing and sorting are quick"):
        took = b.js("(() => { const t = performance.now(); for (const x of document.querySelectorAll('#heads button')) x.click();"
                    " return (performance.now() - t) / document.querySelectorAll('#heads button').length; })()")
        need(took < 200, f"a sort takes {took} ms")

    with case("keyboard: skip link, sorting, the picture"):
        b.open(page, READY)
        b.ask("Page.bringToFront")
        b.key("Tab")
        need_equal(b.js("document.activeElement.className"), "skip", "the first stop")
        need(b.js("document.activeElement.getBoundingClientRect().left") >= 0, "the skip link shows when it has the focus")
        b.js("document.querySelector('#heads button').focus()")
        before = b.js("document.querySelector('#heads th').getAttribute('aria-sort')")
        b.key("Enter", text="\r")
        need(b.js("document.querySelector('#heads th').getAttribute('aria-sort')") != before, "Enter sorts")
        stops = []
        for _ in range(4):
            b.key("Tab")
            stops.append(b.js("document.activeElement.textContent"))
        need_equal(stops, ["Class", "Kind", "Name", "Owner"], "Tab goes from head to head")
        need(b.js("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus shows")
        b.js("document.querySelector('#sankey [role=button]').focus()")
        name = b.js("document.activeElement.querySelector('title').textContent")
        b.key("Enter", text="\r")
        need_equal(b.js("document.getElementById('search').value"), name, "Enter on a token of the picture")
        need(shown(b).startswith("1 of"), shown(b))
        search(b, "")

    with case("names for screen readers, both colour schemes readable"):
        need_equal(b.js(NAMED), [], "names")
        grounds = set()
        for scheme in ("light", "dark"):
            b.media(prefers_color_scheme=scheme)
            need_equal(b.js(CONTRAST), [], f"contrast in {scheme}")
            grounds.add(b.js("getComputedStyle(document.body).backgroundColor"))
            b.js("document.getElementById('theme').click()")
            need_equal(b.js(CONTRAST), [], f"contrast in {scheme}, switched")
            b.js("document.documentElement.removeAttribute('data-theme')")
        need_equal(len(grounds), 2, "grounds of the two schemes")
        b.media(prefers_color_scheme="light")

    with case("a narrow screen scrolls only down"):
        b.size(360, 740)
        need(b.js("document.documentElement.scrollWidth <= 360"), b.js("document.documentElement.scrollWidth"))
        b.size(1280, 900)

    with case("lists as CSV, the same from page and command line, no formula in them"):
        b.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=WORK)
        run([rig.TOKENTRAIL, "report", "--store", store, "--now", NOW, "--csv", os.path.join(WORK, "csv")])
        for name in ("unused", "excessive", "places"):
            b.js(f"document.querySelector('[data-csv={name}]').click()")
            got = os.path.join(WORK, name + ".csv")
            rig.wait_until(lambda got=got: os.path.exists(got) and not glob.glob(WORK + "/*.crdownload"), 10, "the download")
            lists = []
            for path in (got, os.path.join(WORK, "csv", name + ".csv")):
                with open(path, encoding="utf-8", newline="") as f:
                    lists.append(list(csv.reader(f)))
            need_equal(len(lists[0]), len(report["answers"][name]["tokens"]) + 1, f"rows of {name}")
            need(lists[0] == lists[1], f"{name}: {[x for x in zip(*lists) if x[0] != x[1]][:1]}")
            need(not any(c.startswith(("=", "+", "-", "@")) for row in lists[0] for c in row), "a cell that is a formula")

    with case("the whole session without an error"):
        need_equal(b.errors, [], "errors")
    b.close()

    with case("trace tells a story in order of time"):
        minted = fake_store.token_id("loop 3")
        out = run([rig.TOKENTRAIL, "trace", "--json", "--store", store, minted])[1]
        story = [json.loads(line) for line in out.splitlines()]
        need_equal([s.get("event", s["type"]) for s in story], ["token", "minted", "expires"], "events")
        used = report["answers"]["places"]["tokens"][0]["id"]
        out = run([rig.TOKENTRAIL, "trace", "--json", "--store", store, used])[1]
        story = [s for s in map(json.loads, out.splitlines()) if s["type"] == "story"]
        need("first_use" in [s["event"] for s in story] and "last_use" in [s["event"] for s in story], story)
        need_equal(story, sorted(story, key=lambda s: s["@timestamp"]), "order")
        need("used for the first time" in run([rig.TOKENTRAIL, "trace", "--store", store, used])[1], "the story on a terminal")

    with case("wrong usage"):
        for args, words in ((["--window", "x"], "--window takes a duration"), (["--now", "yesterday"], "--now takes a time"),
                            (["--limit", "0"], "--limit takes a number"), (["x"], "takes no arguments"), (["--json", "--html", "-"], "standard output")):
            status, _, err = run([rig.TOKENTRAIL, "report", *args], check=False)
            need(status == 2 and words in err, f"{args}: {status} {err}")
        status, _, err = run([rig.TOKENTRAIL, "report", "--store", WORK + "/none.db"], check=False)
        need(status == 3 and "there is no store" in err, err)
    finish()


if os.environ.get("SHOT"):
    shot(os.environ["SHOT"])
else:
    main()
