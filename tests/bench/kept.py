# SPDX-License-Identifier: Apache-2.0
"""The last run that was kept: ratios and other figures that don't depend on how busy the machine was."""
import json
import os

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "kept.json")
NOTABLE = 0.10      # of a figure: below that, rounds differ among themselves


def read():
    try:
        with open(PATH, encoding="ascii") as f:
            return json.load(f)
    except FileNotFoundError:
        return {"machine": {}, "figures": {}}


def compare(machine, figures):
    """Prints what is kept beside what is now. Only the notable differences are marked: there is no
    telling from one run whether more is worse."""
    kept = read()
    if not kept["figures"]:
        print("\nNothing is kept to compare with; make bench KEEP=1 keeps this run.")
        return
    print("\nBeside the run that was kept" + (":" if kept["machine"] == machine else f", on another machine or kernel ({kept['machine']}):"))
    print(f"  {'':78} {'kept':>10} {'now':>10}")
    for table, found in figures.items():
        old = kept["figures"].get(table, {})
        for name, value in found.items():
            was = old.get(name)
            mark = ""
            if was is None:
                was_text = "-"
            else:
                was_text = f"{was:.3g}"
                change = (value - was) / was if was else float(value != was)
                mark = f"  {change:+.0%}" if abs(change) >= NOTABLE else ""
            print(f"  {table + ': ' + name:78} {was_text:>10} {value:>10.3g}{mark}")


def write(machine, figures):
    """Tables that were not measured keep what they have."""
    kept = read()
    kept["machine"] = machine
    for table, found in figures.items():
        kept["figures"][table] = {name: round(value, 4) for name, value in found.items()}
    with open(PATH, "w", encoding="ascii") as f:
        json.dump(kept, f, indent=1, sort_keys=True)
        f.write("\n")
    print(f"\nKept in {os.path.relpath(PATH)}.")
