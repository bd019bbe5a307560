#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens of 60 classes, made up at run time, from clients of five languages, carried as their providers have
it: 60 rows in the inventory, each of its class and kind, within 5 s of the last request. And what is nearly
one, what a host decides, wrong checksums, and placeholders, which are no tokens."""
import base64
import json
import os
import secrets
import sqlite3
import string
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import programs  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

SECONDS = 5		# from the last request to the last row
HEX, B62 = "0123456789abcdef", string.digits + string.ascii_uppercase + string.ascii_lowercase
B64U, B32, LOWER = B62 + "-_", string.ascii_uppercase + "234567", string.digits + string.ascii_lowercase
LANGUAGES = ("curl", "python", "node", "ruby", "go")

PYTHON = """
import http.client, json, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
class Connection(http.client.HTTPSConnection):
    def connect(self):
        self.sock = context.wrap_socket(self._create_connection(("127.0.0.1", self.port)), server_hostname=self.host)
for line in sys.stdin:
    q = json.loads(line)
    c = Connection(q["host"], int(sys.argv[1]))
    c.request("GET", q["path"], headers=dict(q["headers"]))
    print(c.getresponse().status)
"""
NODE = """
const https = require("https"), port = process.argv[1];
const ask = (q) => new Promise((done, fail) => https.get({host: "127.0.0.1", port, servername: q.host, path: q.path,
    rejectUnauthorized: false, headers: {host: q.host + ":" + port, ...Object.fromEntries(q.headers)}},
    (a) => { a.resume(); a.on("end", () => done(a.statusCode)); }).on("error", fail));
(async () => {
  const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter(Boolean);
  for (const line of lines) console.log(await ask(JSON.parse(line)));
})();
"""
RUBY = """
require "net/http"; require "json"; require "openssl"
STDIN.each_line do |line|
  q = JSON.parse(line)
  http = Net::HTTP.new(q["host"], ARGV[0].to_i)
  http.ipaddr = "127.0.0.1"
  http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
  puts http.start { |h| h.get(q["path"], q["headers"].to_h).code }
end
"""


def text(n, alphabet=B62):
    return "".join(secrets.choice(alphabet) for _ in range(n))


def crc(prefix):
    """30 characters and their CRC-32 in base 62."""
    body = text(30)
    n, tail = zlib.crc32(body.encode()), ""
    for _ in range(6):
        n, digit = divmod(n, 62)
        tail = B62[digit] + tail
    return prefix + body + tail


def uuid():
    return "-".join(text(n, HEX) for n in (8, 4, 4, 4, 12))


# ---- carriers: token -> header fields, or the query ----

def scheme(name):
    return lambda t: ([("Authorization", f"{name} {t}")], "")


def header(name):
    return lambda t: ([(name, t)], "")


def basic(user):
    return lambda t: ([("Authorization", "Basic " + base64.b64encode(f"{user}:{t}".encode()).decode())], "")


def query(name):
    return lambda t: ([], f"?page=2&{name}={t}")


BEARER = scheme("Bearer")


def cases():
    """(class, kind, token, carrier, host): 60 classes."""
    return [
        ("github_pat_classic", "api_key", crc("gh" "p_"), scheme("token"), "api.github.com"),
        ("github_pat_fine", "api_key", "github_" + "pat_" + text(22) + "_" + text(59), BEARER, "api.github.com"),
        ("github_oauth", "oauth_access", crc("gh" "o_"), BEARER, "api.github.com"),
        ("github_app_user", "oauth_access", crc("gh" "u_"), BEARER, "api.githubcopilot.com"),
        ("github_app_installation", "service_account", crc("gh" "s_"), basic("x-access-token"), "github.com"),
        ("gitlab_pat", "api_key", "gl" "pat-" + text(20, B64U), header("PRIVATE-TOKEN"), "gitlab.com"),
        ("gitlab_deploy", "service_account", "gl" "dt-" + text(20, B64U), header("Deploy-Token"), "gitlab.com"),
        ("gitlab_job", "ci", "gl" "cbt-64_" + text(20, B64U), header("JOB-TOKEN"), "gitlab.com"),
        ("gitlab_trigger", "ci", "gl" "ptt-" + text(40, HEX), query("token"), "gitlab.com"),
        ("npm", "api_key", crc("np" "m_"), BEARER, "packages.corp.test"),
        ("docker_pat", "api_key", "dckr_" "pat_" + text(27, B64U), basic("someone"), "auth.docker.io"),
        ("pypi", "api_key", "pypi-" "AgEIcHlwaS5vcmc" + text(160, B64U), basic("__token__"), "packages.corp.test"),
        ("rubygems", "api_key", "ruby" "gems_" + text(48, HEX), lambda t: ([("Authorization", t)], ""), "rubygems.org"),
        ("nuget", "api_key", "oy" "2" + text(43, LOWER), header("X-NuGet-ApiKey"), "www.nuget.org"),
        ("sonar", "api_key", "sq" "u_" + text(40, HEX), BEARER, "sonarcloud.io"),
        ("terraform_cloud", "api_key", text(14) + ".atlas" "v1." + text(67, B64U), BEARER, "app.terraform.io"),
        ("pulumi", "api_key", "pu" "l-" + text(40, HEX), scheme("token"), "api.pulumi.com"),
        ("postman", "api_key", "PM" "AK-" + text(24, HEX) + "-" + text(34, HEX), header("X-Api-Key"),
         "api.getpostman.com"),
        ("aws_session_token", "cloud_sts", "FwoG" + text(352), header("X-Amz-Security-Token"),
         "bucket.s3.amazonaws.com"),
        ("aws_bedrock_long", "api_key", "AB" "SK" + text(128), BEARER, "bedrock-runtime.us-east-1.amazonaws.com"),
        ("gcp_api_key", "api_key", "AI" "za" + text(35, B64U), header("X-Goog-Api-Key"), "maps.googleapis.com"),
        ("gcp_access", "oauth_access", "ya" "29." + text(180, B64U), BEARER, "storage.googleapis.com"),
        ("azure_client_secret", "client_secret", text(3) + text(1, string.digits) + "Q" "~" + text(34),
         basic(uuid()), "login.microsoftonline.com"),
        ("digitalocean_pat", "api_key", "do" "p_v1_" + text(64, HEX), BEARER, "api.digitalocean.com"),
        ("cloudflare_token", "api_key", "cf" "ut_" + text(40) + text(8, HEX), BEARER, "api.cloudflare.com"),
        ("cloudflare_global", "api_key", text(37, HEX), header("X-Auth-Key"), "api.cloudflare.com"),
        ("vault_service", "service_account", "hv" "s." + text(91, B64U), header("X-Vault-Token"), "vault.corp.test"),
        ("vault_batch", "service_account", "hv" "b." + text(180, B64U), header("X-Vault-Token"), "vault.corp.test"),
        ("consul_token", "service_account", uuid(), header("X-Consul-Token"), "consul.corp.test"),
        ("databricks", "api_key", "da" "pi" + text(32, HEX), BEARER, "adb-1.azuredatabricks.net"),
        ("k8s_bootstrap", "bootstrap", text(6, LOWER) + "." + text(16, LOWER), BEARER, "kube.corp.test"),
        ("openshift_user", "oauth_access", "sha" "256~" + text(43, B64U), BEARER, "api.shift.test"),
        ("tailscale", "api_key", "ts" "key-api-" + text(12) + "-" + text(32), BEARER, "api.tailscale.com"),
        ("fly", "api_key", "fm" "2_" + text(200), scheme("FlyV1"), "api.fly.io"),
        ("heroku", "api_key", "HR" "KU-AA" + text(58, B64U), BEARER, "api.heroku.com"),
        ("doppler_service", "service_account", "dp" ".st." + text(43), BEARER, "api.doppler.com"),
        ("dynatrace", "api_key", "dt0" "c01." + text(24, B32) + "." + text(64, B32), scheme("Api-Token"),
         "acme.live.dynatrace.com"),
        ("slack_bot", "api_key", "xo" "xb-" + text(12, string.digits) + "-" + text(12, string.digits) + "-" + text(24),
         BEARER, "slack.com"),
        ("slack_refresh", "oauth_refresh", "xo" "xe-1-" + text(146), BEARER, "slack.com"),
        ("okta_ssws", "api_key", "0" "0" + text(40, B64U), scheme("SSWS"), "acme.okta.com"),
        ("stripe_secret", "api_key", "sk_" "test_" + text(99), BEARER, "api.stripe.com"),
        ("sendgrid", "api_key", "S" "G." + text(22, B64U) + "." + text(43, B64U), BEARER, "api.sendgrid.com"),
        ("mailgun", "api_key", "ke" "y-" + text(32, HEX), basic("api"), "api.mailgun.net"),
        ("shopify", "api_key", "sh" "pat_" + text(32, HEX), header("X-Shopify-Access-Token"), "acme.myshopify.com"),
        ("square_access", "api_key", "EA" "AA" + text(60), BEARER, "connect.squareup.com"),
        ("airtable", "api_key", "pa" "t" + text(14) + "." + text(64, HEX), BEARER, "api.airtable.com"),
        ("linear", "api_key", "li" "n_api_" + text(40), lambda t: ([("Authorization", t)], ""), "api.linear.app"),
        ("notion", "api_key", "nt" "n_" + text(46), BEARER, "api.notion.com"),
        ("figma", "api_key", "fi" "gd_" + text(40, B64U), header("X-Figma-Token"), "api.figma.com"),
        ("hubspot", "api_key", "pa" "t-na1-" + uuid(), BEARER, "api.hubapi.com"),
        ("discord_bot", "api_key", text(24) + "." + text(6, B64U) + "." + text(27, B64U), scheme("Bot"), "discord.com"),
        ("datadog_api", "api_key", text(32, HEX), header("DD-API-KEY"), "api.datadoghq.com"),
        ("grafana_sa", "service_account", "gl" "sa_" + text(32) + "_" + text(8, HEX), BEARER, "acme.grafana.net"),
        ("sentry_user", "api_key", "sn" "tryu_" + text(64, HEX), BEARER, "sentry.io"),
        ("openai_project", "api_key", "sk-" "proj-" + text(74, B64U) + "T3BlbkFJ" + text(74, B64U), BEARER,
         "api.openai.com"),
        ("anthropic_key", "api_key", "sk-" "ant-api03-" + text(93, B64U) + "AA", header("x-api-key"),
         "api.anthropic.com"),
        ("anthropic_oauth", "agent", "sk-" "ant-oat01-" + text(93, B64U) + "AA", BEARER, "api.anthropic.com"),
        ("huggingface", "api_key", "h" "f_" + text(34), BEARER, "huggingface.co"),
        ("groq", "api_key", "gs" "k_" + text(52), BEARER, "api.groq.com"),
        ("deepseek", "api_key", "sk-" + text(32, HEX), BEARER, "api.deepseek.com"),
    ]


# ---- clients ----

def argv_of(language, port):
    return {"python": [sys.executable, "-c", PYTHON, port], "node": ["node", "-e", NODE, port],
            "ruby": ["ruby", "-e", RUBY, port], "go": [programs.built("go_ask", "ask"), port]}[language]


def question(token, carrier, host):
    headers, search = carrier(token)
    return {"host": host, "path": "/v1/items" + search, "headers": headers}


def curl(questions, port):
    for q in questions:
        fields = [part for name, value in q["headers"] for part in ("-H", f"{name}: {value}")]
        out = rig.run(["curl", "-sSk", "-o", "/dev/null", "-w", "%{http_code}", "--connect-to",
                       f"{q['host']}:{port}:127.0.0.1:{port}", *fields, f"https://{q['host']}:{port}{q['path']}"])[1]
        rig.need_equal(out, "200", "status")


def send(language, questions, port):
    if language == "curl":
        curl(questions, port)
        return
    out = rig.run(argv_of(language, str(port)), stdin="".join(json.dumps(q) + "\n" for q in questions))[1]
    rig.need_equal(out.split(), ["200"] * len(questions), "statuses")


def rows_of(sensor, nginx):
    """The inventory as people see it, without what others on this machine do meanwhile."""
    ours = {u["token"]["id"] for u in sensor.records() if u["process"]["pid"] in nginx.workers}
    out = subprocess.run([rig.TOKENTRAIL, "tokens", "--json", "--store", os.path.join(sensor.state, "store.db")],
                         capture_output=True, text=True, check=False, timeout=30)
    rig.need_equal(out.returncode, 0, f"tokens: {out.stderr.strip()[-200:]}; status")
    return {r["token"]["id"]: r for r in map(json.loads, out.stdout.splitlines()) if r["token"]["id"] in ours}


def sixty(sensor, nginx):
    wanted = cases()
    rig.need_equal(len({name for name, *_ in wanted}), 60, "classes")
    ids = sensor.ids([case[2] for case in wanted])
    share = len(wanted) // len(LANGUAGES)
    for i, language in enumerate(LANGUAGES):
        with rig.case(f"{language} sends tokens of {share} classes"):
            send(language, [question(*case[2:]) for case in wanted[i * share:(i + 1) * share]], nginx.tls)
    last = time.monotonic()
    with rig.case(f"60 rows in the inventory within {SECONDS} s of the last request"):
        rows = rig.wait_until(lambda: (lambda r: r if set(ids) <= set(r) else None)(rows_of(sensor, nginx)), SECONDS,
                              "all rows")
        print(f"# after {time.monotonic() - last:.2f} s", flush=True)
        rig.need_equal(set(rows), set(ids), "rows")
    for i, ((name, kind, token, *_), token_id) in enumerate(zip(wanted, ids)):
        with rig.case(f"{name} by {LANGUAGES[i // share]}"):
            row = rows_of(sensor, nginx)[token_id]["token"]
            rig.need_equal((row["class"], row["kind"], row["length"]), (name, kind, len(token)),
                           "class, kind and length")
            rig.need_equal(sorted(u["direction"] for u in sensor.uses(token_id)), ["egress", "ingress"], "uses")


def once(sensor, nginx, token, carrier=BEARER, host="api.corp.test"):
    """The row of a token that was used once."""
    send("python", [question(token, carrier, host)], nginx.tls)
    token_id = sensor.ids([token])[0]
    rig.need(rig.total(sensor.wait_uses(token_id, 2, 30)) >= 2, "its uses are seen")
    return rig.wait_until(lambda: rows_of(sensor, nginx).get(token_id), 30, "its row")["token"]


def near_misses(sensor, nginx):
    whole = crc("gh" "p_")
    for what, token in (("a character less", whole[:-1]), ("a character more", whole + "a"),
                        ("a character that none has", whole[:20] + "-" + whole[21:])):
        with rig.case(f"{what} is not of the class"):
            rig.need_equal(once(sensor, nginx, token, host="api.github.com")["class"], "opaque", "class")
    with rig.case("a wrong checksum is told, and the class stays"):
        other = "b" if whole[10] == "a" else "a"
        row = once(sensor, nginx, whole[:10] + other + whole[11:], host="api.github.com")
        rig.need_equal((row["class"], row["checksum"]), ("github_pat_classic", "bad"), "class and checksum")
        row = once(sensor, nginx, whole, host="api.github.com")
        rig.need_equal((row["class"], row["checksum"]), ("github_pat_classic", "ok"), "class and checksum")
    with rig.case("installation tokens have two shapes"):
        parts = [text(60, B64U), text(380, B64U), text(43, B64U)]
        token = "gh" "s_" + text(7, string.digits) + "_ey" "J" + ".".join(parts)
        for shape in (crc("gh" "s_"), token):
            row = once(sensor, nginx, shape, host="api.github.com")
            rig.need_equal((row["class"], row["kind"]), ("github_app_installation", "service_account"),
                           f"class of {len(shape)} bytes")
        rig.need_equal(once(sensor, nginx, token[:200], host="api.github.com")["class"], "opaque", "class of a part")


def hosts(sensor, nginx):
    with rig.case("classes that only the host tells apart"):
        for host, name in (("api.deepseek.com", "deepseek"), ("api.corp.test", "generic_sk")):
            rig.need_equal(once(sensor, nginx, "sk-" + text(32, HEX), host=host)["class"], name, f"class at {host}")
        for host, name in (("api.braintrust.dev", "braintrust"), ("api.corp.test", "generic_sk")):
            rig.need_equal(once(sensor, nginx, "sk-" + text(48), host=host)["class"], name, f"class at {host}")
        for host, name in (("dev.azure.com", "azure_devops_pat"), ("api.corp.test", "opaque")):
            rig.need_equal(once(sensor, nginx, text(52, LOWER), host=host)["class"], name, f"class at {host}")


def placeholders(sensor, nginx):
    with rig.case("placeholders are told as what they are, and have no row"):
        before = set(rows_of(sensor, nginx))
        sent = [("undefined", BEARER), ("null", BEARER), ("changeme", header("X-Api-Key")), ("xxxxxxxx", BEARER),
                ("${TO" "KEN}", header("PRIVATE-TOKEN")), ("[REDACTED]", BEARER)]
        send("python", [question(t, carrier, "api.corp.test") for t, carrier in sent], nginx.tls)
        ids = sensor.ids([t for t, _ in sent])
        rig.wait_until(lambda: {u["token"]["id"] for u in sensor.uses(ids)} == set(ids), 10, "their uses")
        rig.need_equal({u["token"]["class"] for u in sensor.uses(ids)}, {"placeholder"}, "class")
        marker = sensor.ids([after := rig.token()])[0]
        once(sensor, nginx, after)
        rig.need_equal(set(rows_of(sensor, nginx)) - before, {marker}, "new rows")
        frozen = os.path.join(sensor.dir, "frozen.db")
        with sqlite3.connect(os.path.join(sensor.state, "store.db")) as db, sqlite3.connect(frozen) as copy:
            db.backup(copy)
            count = copy.execute("SELECT count(*) FROM token WHERE class <> 'placeholder' AND readable AND uses > 0")
            real = count.fetchone()[0]
        out = rig.run([rig.TOKENTRAIL, "report", "--json", "--store", frozen])[1]
        rig.need_equal(json.loads(out)["answers"]["active"]["last_day"], real, "tokens that the report counts")


def main():
    rig.need_root()
    work = rig.work_dir("classes")
    nginx = rig.Nginx(work, rig.Authority(work), http2=True)
    # What these programs map is known before they run for the first time.
    files = [programs.built("go_ask", "ask"), "/usr/bin/node", "/usr/bin/ruby*", os.path.realpath(sys.executable)]
    sensor = rig.Sensor(work, "--set", "sources.preattach=" + ",".join(files))
    for language in LANGUAGES:	# each is known once it was seen
        token = rig.token()
        rig.wait_until(lambda l=language, t=token: send(l, [question(t, BEARER, "warm.test")], nginx.tls) or
                       len(sensor.wait_uses(sensor.ids([t]), 2, 1)) >= 2, 30, f"{language} is seen")
    sensor.stop()
    sensor = rig.Sensor(work, "--set", "sources.preattach=" + ",".join(files))
    sixty(sensor, nginx)
    near_misses(sensor, nginx)
    hosts(sensor, nginx)
    placeholders(sensor, nginx)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
