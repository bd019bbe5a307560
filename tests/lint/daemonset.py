#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks deploy/kubernetes/daemonset.yaml without a cluster: every field's name and kind against
the part of the API that the manifest uses, what must agree between its objects, and what the
sensor needs. Usage: daemonset.py MANIFEST [CONFIG_OUT]; CONFIG_OUT gets the embedded settings."""
import sys

import yaml

STR, INT, BOOL, ANY = str, int, bool, object
NAMES = {"*": STR}
SEC = {"privileged": BOOL, "runAsUser": INT, "allowPrivilegeEscalation": BOOL,
       "readOnlyRootFilesystem": BOOL, "seccompProfile": {"type": STR},
       "appArmorProfile": {"type": STR}, "capabilities": {"drop": [STR], "add": [STR]}}
CONTAINER = {"name": STR, "image": STR, "imagePullPolicy": STR, "command": [STR], "args": [STR],
             "env": [{"name": STR, "value": STR, "valueFrom": {"fieldRef": {"fieldPath": STR}}}],
             "resources": {"requests": NAMES, "limits": NAMES}, "securityContext": SEC,
             "volumeMounts": [{"name": STR, "mountPath": STR, "subPath": STR, "readOnly": BOOL}]}
VOLUME = {"name": STR, "configMap": {"name": STR}, "hostPath": {"path": STR, "type": STR},
          "secret": {"secretName": STR, "defaultMode": INT, "optional": BOOL}}
POD = {"serviceAccountName": STR, "automountServiceAccountToken": BOOL, "enableServiceLinks": BOOL,
       "priorityClassName": STR, "hostPID": BOOL, "terminationGracePeriodSeconds": INT,
       "nodeSelector": NAMES, "containers": [CONTAINER], "volumes": [VOLUME],
       "tolerations": [{"key": STR, "operator": STR, "value": STR, "effect": STR}]}
META = {"name": STR, "namespace": STR, "labels": NAMES, "annotations": NAMES}
TOP = {"apiVersion": STR, "kind": STR, "metadata": META}
KINDS = {
    ("v1", "Namespace"): TOP,
    ("v1", "ServiceAccount"): {**TOP, "automountServiceAccountToken": BOOL},
    ("v1", "ConfigMap"): {**TOP, "data": NAMES},
    ("scheduling.k8s.io/v1", "PriorityClass"): {
        **TOP, "value": INT, "globalDefault": BOOL, "preemptionPolicy": STR, "description": STR},
    ("apps/v1", "DaemonSet"): {**TOP, "spec": {
        "selector": {"matchLabels": NAMES},
        "updateStrategy": {"type": STR, "rollingUpdate": {"maxUnavailable": ANY}},
        "template": {"metadata": META, "spec": POD}}},
}
# What the unit gives too; deploy.sh compares.
CAPS = {"BPF", "PERFMON", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "CHOWN", "FOWNER", "SETUID",
        "SETGID", "SETPCAP", "KILL", "SYS_RESOURCE"}
faults = []


class NoDuplicates(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: '{key}' stands twice")
        return super().construct_mapping(node, deep)


def want(holds, text):
    if not holds:
        faults.append(text)


def check_shape(value, shape, where):
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            faults.append(f"{where}: must be a mapping")
            return
        for key, inner in value.items():
            if "*" not in shape and key not in shape:
                faults.append(f"{where}.{key}: no such field here")
            else:
                check_shape(inner, shape.get(key, shape.get("*")), f"{where}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            faults.append(f"{where}: must be a list that is not empty")
            return
        for i, item in enumerate(value):
            check_shape(item, shape[0], f"{where}[{i}]")
    elif shape is INT:
        want(isinstance(value, int) and not isinstance(value, bool), f"{where}: must be a number")
    else:
        want(isinstance(value, shape), f"{where}: must be a {shape.__name__}")


def check_container(c, pod, names):
    sec = c.get("securityContext", {})
    caps = sec.get("capabilities", {})
    want(set(caps.get("add", [])) == CAPS, f"capabilities.add must be {sorted(CAPS)}")
    want(caps.get("drop") == ["ALL"], "capabilities.drop must be [ALL]")
    for key, value in (("privileged", False), ("allowPrivilegeEscalation", False),
                       ("readOnlyRootFilesystem", True), ("runAsUser", 0)):
        want(sec.get(key) is value or sec.get(key) == value and value == 0,
             f"securityContext.{key} must be {value}")
    want(sec.get("appArmorProfile") == {"type": "Unconfined"}, "appArmorProfile must be Unconfined")
    want(c.get("image", "").partition(":")[2] not in ("", "latest"), "image needs a version")
    want(c.get("command", [])[:2] == ["/usr/bin/tokentrail", "run"], "command must be tokentrail run")
    res = c.get("resources", {})
    want("memory" in res.get("limits", {}), "resources.limits.memory is missing")
    want({"cpu", "memory"} <= set(res.get("requests", {})), "resources.requests lacks cpu or memory")
    want("cpu" not in res.get("limits", {}), "a limit of cpu makes the ring overflow")
    env = {e["name"]: e for e in c.get("env", [])}
    want(env.get("TOKENTRAIL_NODE_NAME", {}).get("valueFrom", {}).get("fieldRef", {})
         .get("fieldPath") == "spec.nodeName", "TOKENTRAIL_NODE_NAME must be spec.nodeName")
    volumes = {v["name"]: v for v in pod.get("volumes", [])}
    mounts = {m["mountPath"]: m for m in c.get("volumeMounts", [])}
    want(len(mounts) == len(c.get("volumeMounts", [])), "a mountPath stands twice")
    want({m["name"] for m in mounts.values()} == set(volumes), "volumes and volumeMounts differ")
    for path in ("/sys/kernel/btf", "/sys/kernel/tracing", "/sys/fs/cgroup"):
        volume = volumes.get(mounts.get(path, {}).get("name"), {})
        want(volume.get("hostPath") == {"path": path, "type": "Directory"},
             f"{path} of the node must be mounted at the same place")
        want(mounts.get(path, {}).get("readOnly") is True, f"{path} must be read-only")
    state = mounts.get("/var/lib/tokentrail", {})
    want("hostPath" in volumes.get(state.get("name"), {}) and not state.get("readOnly"),
         "/var/lib/tokentrail must be a writable hostPath, or a restart forgets the store")
    for v in volumes.values():
        want(len(v) == 2, f"volume {v['name']} must have one source")
        if "configMap" in v:
            want(("ConfigMap", v["configMap"]["name"]) in names, "the ConfigMap is not in here")
        if "secret" in v:
            want(v["secret"].get("defaultMode") == 0o400, "the key's defaultMode must be 0400")
            want(not v["secret"].get("optional"), "the key must not be optional")


def check_daemonset(d, names):
    template = d["spec"]["template"]
    pod, meta = template["spec"], template["metadata"]
    labels = d["spec"]["selector"]["matchLabels"]
    want(labels and labels.items() <= meta.get("labels", {}).items(), "selector misses the template")
    for key, value in (("hostPID", True), ("automountServiceAccountToken", False),
                       ("enableServiceLinks", False)):
        want(pod.get(key) is value, f"pod: {key} must be {value}")
    want(pod.get("tolerations") == [{"operator": "Exists"}], "pod: must tolerate every taint")
    want(("ServiceAccount", pod.get("serviceAccountName")) in names, "the ServiceAccount is not in here")
    want(("PriorityClass", pod.get("priorityClassName")) in names, "the PriorityClass is not in here")
    want(len(pod["containers"]) == 1, "one container")
    c = pod["containers"][0]
    want(meta.get("annotations", {}).get(
        "container.apparmor.security.beta.kubernetes.io/" + c["name"]) == "unconfined",
        "the AppArmor annotation must name the container")
    check_container(c, pod, names)


def check_config(objects, config_out):
    config = next(o for o in objects if o["kind"] == "ConfigMap")["data"]
    text = config.get("tokentrail.yaml", "")
    settings = yaml.load(text, NoDuplicates) or {}
    daemonset = next(o for o in objects if o["kind"] == "DaemonSet")
    pod = daemonset["spec"]["template"]["spec"]
    mounts = {m["name"]: m for m in pod["containers"][0]["volumeMounts"]}
    for v in pod["volumes"]:
        if "secret" in v:
            want(settings.get("key", {}).get("file") == mounts[v["name"]]["mountPath"] + "/fleet.key",
                 "key.file must be fleet.key in the secret's mount")
        if "configMap" in v:
            m = mounts[v["name"]]
            want(m.get("subPath") in config and m["mountPath"] == "/etc/tokentrail/tokentrail.yaml",
                 "the settings must be mounted at /etc/tokentrail/tokentrail.yaml")
    if config_out:
        with open(config_out, "w", encoding="utf-8") as f:
            f.write(text)


def check(path, config_out):
    with open(path, encoding="utf-8") as f:
        objects = list(yaml.load_all(f, NoDuplicates))
    for o in objects:
        kind = (o.get("apiVersion"), o.get("kind"))
        if kind not in KINDS:
            faults.append(f"{kind}: not a kind that belongs here")
            continue
        check_shape(o, KINDS[kind], o["kind"])
        want(o.get("metadata", {}).get("name"), f"{o['kind']}: has no name")
        if o["kind"] not in ("Namespace", "PriorityClass"):
            want(o["metadata"].get("namespace") == "tokentrail", f"{o['kind']}: wrong namespace")
    kinds = [o.get("kind") for o in objects]
    want(sorted(kinds) == sorted(k for _, k in KINDS), f"has {kinds}, each kind must be there once")
    if faults:
        return
    want(objects[0]["kind"] == "Namespace", "the Namespace must come first")
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    check_daemonset(next(o for o in objects if o["kind"] == "DaemonSet"), names)
    check_config(objects, config_out)


def main():
    path = sys.argv[1]
    try:
        check(path, sys.argv[2] if len(sys.argv) > 2 else None)
    except yaml.YAMLError as e:
        faults.append(str(e))
    except (KeyError, TypeError, StopIteration) as e:
        faults.append(f"a required field is missing: {e!r}")
    for fault in faults:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if faults else 0


sys.exit(main())
