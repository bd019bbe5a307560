# SPDX-License-Identifier: Apache-2.0
"""The openai and anthropic SDKs: llm_client.py BASE; see ../README.md. Keys are a JSON object on standard input; what
the models said goes to standard output, as one."""
import json
import sys

import anthropic
import openai

ASKED = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}


def main():
    base, keys = sys.argv[1], json.load(sys.stdin)
    said = {}
    with openai.OpenAI(api_key=keys["openai"], base_url=base + "/openai/v1", max_retries=0) as client:
        said["openai"] = client.chat.completions.create(**ASKED).choices[0].message.content
        said["openai_models"] = [m.id for m in client.models.list()]
    with anthropic.Anthropic(api_key=keys["anthropic"], base_url=base + "/anthropic", max_retries=0) as client:
        said["anthropic"] = client.messages.create(max_tokens=8, **ASKED).content[0].text
    print(json.dumps(said))


main()
