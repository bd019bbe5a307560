# SPDX-License-Identifier: Apache-2.0
"""HttpClient of .NET, whose SslStream calls the OpenSSL that its shim finds (LD_LIBRARY_PATH), over
memory buffers: http_client.py BASE < questions ("METHOD PATH TOKEN"), an answer's status a line."""
import json
import os
import sys
import tempfile

import clr_loader
import dotnetcore2
import pythonnet

ROOT = os.path.join(os.path.dirname(dotnetcore2.__file__), "bin")
FRAMEWORK = "Microsoft.NETCore.App"


def start():
    version = os.listdir(os.path.join(ROOT, "shared", FRAMEWORK))[0]
    with tempfile.NamedTemporaryFile("w", suffix=".runtimeconfig.json") as f:
        json.dump({"runtimeOptions": {"framework": {"name": FRAMEWORK, "version": version},
                                      "configProperties": {"System.Globalization.Invariant": True}}}, f)
        f.flush()
        pythonnet.load(clr_loader.get_coreclr(runtime_config=f.name, dotnet_root=ROOT))


def main(base):
    start()
    import clr  # pylint: disable=import-error,import-outside-toplevel
    clr.AddReference("System.Net.Http")
    from System.Net.Http import (  # pylint: disable=import-error,import-outside-toplevel
        HttpClient, HttpMethod, HttpRequestMessage)
    client = HttpClient()
    for line in sys.stdin:
        method, path, token = line.split()
        message = HttpRequestMessage(HttpMethod(method), base + path)
        message.Headers.TryAddWithoutValidation("Authorization", "Bearer " + token)
        print(int(client.SendAsync(message).Result.StatusCode), flush=True)


main(sys.argv[1])
