#!/usr/bin/env python3
"""Prints the figures of a drill's report.json for measure/record.py: measure/drill_figures.py VARIANT FILE"""

import json
import sys


def outage(fields, name, outages):
    """The longest time without a success; None if it had no end. Without such a stream there is no figure."""
    worst = outages["worst"]
    if worst is not None:
        ended = worst["longest"] and not worst["not_back"]
        fields[f"{name}_ms"] = worst["longest"]["length_ms"] if ended else None


def figure(variant, run):
    fields = {"key": f"{variant} {run['event']} {run['target']}"}
    outage(fields, "write", run["write_outage"])
    outage(fields, "read", run["read_outage_replica"])
    outage(fields, "read_rw", run["read_outage_primary"])
    fields["full_strength_ms"] = run["full_strength_ms"]
    fields["first_commit_ms"] = run["first_commit_ms"]
    fields["acknowledged"] = run["acknowledged"]
    kept = run["kept"] or {}
    fields["lost"] = len(kept["lost"]) if kept else None  # None: the rows could not be read
    fields["twice"] = len(kept["twice"]) if kept else None
    fields["two_primaries"] = run["two_primaries"]["count"]
    fields["doubt_kept"] = kept.get("doubt_kept")
    fields["doubt_not_kept"] = kept.get("doubt_not_kept")
    if kept.get("lost_from_ms") is not None:
        fields["lost_from_ms"] = kept["lost_from_ms"]
    if run.get("isolated") is not None:
        fields["isolated"] = run["isolated"]
    fields["passed"] = run["verdict"]["passed"]
    fields["reasons"] = [reason["text"] for reason in run["verdict"]["reasons"]]
    return fields


if __name__ == "__main__":
    variant, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    for event in report["events"]:
        for run in event["runs"]:
            print("figure", json.dumps(figure(variant, run), ensure_ascii=False))
