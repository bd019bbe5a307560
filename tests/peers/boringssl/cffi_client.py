# SPDX-License-Identifier: Apache-2.0
"""curl_cffi, a libcurl with BoringSSL: cffi_client.py 1.1|2 URL CA; see ../README.md."""
import sys

from curl_cffi import CurlHttpVersion, requests

VERSIONS = {"1.1": CurlHttpVersion.V1_1, "2": CurlHttpVersion.V2TLS}


def main():
    version, base, ca = sys.argv[1:]
    session = requests.Session(impersonate="chrome", verify=ca, http_version=VERSIONS[version])
    for line in sys.stdin:
        method, path, token = line.split()
        r = session.request(method, base + path, headers={"Authorization": f"Bearer {token}"})
        print(r.status_code, r.text.strip(), flush=True)


main()
