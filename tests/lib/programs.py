# SPDX-License-Identifier: Apache-2.0
"""Programs that more than one end-to-end test runs: scripts for interpreters, lighttpd with any of its
TLS modules, and where the peers of ../peers/build.sh lie."""
import os

import rig

CACHE = os.path.join(os.environ.get("TOKENTRAIL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tokentrail"), "peers")


def built(*path):
    """A file that build.sh made; the case is skipped where it is missing."""
    found = os.path.join(CACHE, *path)
    if not os.path.exists(found):
        raise rig.Skip(f"{'/'.join(path)} was not built; tests/lib/fetch.sh says why")
    return found


def wheels_python():
    return built("wheels", "bin", "python")


LIBGIT2 = """
import pygit2, sys
url, token, ca, path = sys.argv[1:]
pygit2.settings.set_ssl_cert_locations(ca, None)
class Callbacks(pygit2.RemoteCallbacks):
    asked = 0
    def credentials(self, *_):
        self.asked += 1
        if self.asked > 1:
            raise SystemExit(0)
        return pygit2.UserPass("me", token)
try:
    pygit2.init_repository(path).remotes.create("o", url).ls_remotes(callbacks=Callbacks())
except pygit2.GitError:
    pass
"""
AWSCRT = """
import sys
from awscrt import http, io
port, token, ca, alpn = sys.argv[1:]
boot = io.ClientBootstrap(io.EventLoopGroup(1), io.DefaultHostResolver(io.EventLoopGroup(1)))
options = io.TlsContextOptions()
options.override_default_trust_store_from_path(None, ca)
options.alpn_list = [alpn]
tls = io.ClientTlsContext(options).new_connection_options()
tls.set_server_name("localhost")
kind = http.Http2ClientConnection if alpn == "h2" else http.HttpClientConnection
c = kind.new(host_name="localhost", port=int(port), bootstrap=boot, tls_connection_options=tls).result(20)
r = http.HttpRequest("GET", "/items/s2n")
for name, value in (("authorization", "Bearer " + token), ("host", "localhost:" + port)):
    r.headers.add(name, value)
status = c.request(r)
status.activate()
assert status.completion_future.result(20) == 200
c.close().result(20)
"""
LIGHTTPD_CONF = """
server.modules = ("mod_access", "mod_{module}")
server.document-root = "{dir}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{dir}/error.log"
ssl.engine = "enable"
ssl.pemfile = "{cert}"
ssl.privkey = "{key}"
url.access-deny = (".secret")
"""


class Lighttpd:
    """lighttpd with one of its TLS modules."""
    exe = "/usr/sbin/lighttpd"

    def __init__(self, work, authority, module):
        self.dir = os.path.join(work, module)
        self.port = rig.free_port()
        os.makedirs(os.path.join(self.dir, "www"))
        for name in ("item", "x.secret"):
            with open(os.path.join(self.dir, "www", name), "w", encoding="ascii") as f:
                f.write("ok\n")
        conf = os.path.join(self.dir, "lighttpd.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(LIGHTTPD_CONF.format(module=module, dir=self.dir, port=self.port, cert=authority.cert,
                                         key=authority.key))
        self.process = rig.spawn(["lighttpd", "-D", "-f", conf])
        rig.wait_until(lambda: rig.listening(self.port), 10, f"lighttpd with {module} listens")
        self.pids = {self.process.pid}
