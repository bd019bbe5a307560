# SPDX-License-Identifier: Apache-2.0
"""httpx with h2: http_client.py http[s]://HOST:PORT [CA]; see ../README.md."""
import ssl
import sys

import httpx


def client(ca):
    trust = ssl.create_default_context(cafile=ca) if ca else False
    return httpx.Client(http1=False, http2=True, verify=trust, trust_env=False)


def main():
    base, ca = (sys.argv[1:] + [None])[:2]
    session = client(ca)
    for line in sys.stdin:
        words = line.split()
        if words == ["new"]:
            session.close()
            session = client(ca)
            print("new", flush=True)
            continue
        method, path, token = words
        answer = session.request(method, base + path, headers={"Authorization": f"Bearer {token}"})
        assert answer.http_version == "HTTP/2", answer.http_version
        print(answer.status_code, answer.text.strip(), flush=True)


main()
