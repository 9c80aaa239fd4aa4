"""Write the diagrams of docs/explanation/handover.md from the table; `--check` fails on drift.

Neighbours: `meter_operator.flows` (the table), `tools/generate.py` (calls this).
"""

import sys
from pathlib import Path

import marked_block
from meter_operator.flows import BEGIN, END, FLOWS, OPERATOR, PARTIES, TRANSITIONS, find_told

TARGET = Path(__file__).resolve().parents[2] / "docs/explanation/handover.md"
MARK = "<!-- flows of meter_operator.flows -->"


def sequence() -> list[str]:
    """Return the sequence diagram; a note stands where the phase changes."""
    lines = ["```mermaid", "sequenceDiagram"]
    lines += [f"  participant {name} as {text}" for name, text in PARTIES.items()]
    lines.append(f"  U->>{OPERATOR}: another version in the SmartMeter")
    before = BEGIN
    for flow in FLOWS:
        if flow.phase not in {before, END} and flow.sender != flow.receiver:
            lines.append(f"  Note over {OPERATOR}: status.handover {flow.phase}")
        before = flow.phase
        text = flow.text.replace(";", ",")  # which would end the line there
        lines.append(f"  {flow.sender}->>{flow.receiver}: {flow.number}. {text}")
    return [*lines, "```"]


def states() -> list[str]:
    """Return the state diagram of `status.handover`."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for row in TRANSITIONS:
        before, after = (
            name if name not in {BEGIN, END} else "[*]" for name in (row.before, row.after)
        )
        lines.append(f"  {before} --> {after}: {row.verb}")
    return [*lines, "```"]


def parties() -> list[str]:
    """Return the state diagrams of the twins and the meter, each as it is told."""
    lines = []
    for party, title in (("old", "Twin A"), ("new", "Twin B"), ("meter", "The meter")):
        rows: dict[tuple[str, str], list[str]] = {}
        for row in TRANSITIONS:
            before, after = (getattr(told, party) or "[*]" for told in find_told(row))
            if before != after:
                rows.setdefault((before, after), []).append(row.verb)
        lines += ["", f"{title}:", "", "```mermaid", "stateDiagram-v2", "  direction LR"]
        for (before, after), verbs in rows.items():
            lines.append(f"  {before} --> {after}: {', '.join(dict.fromkeys(verbs))}")
        lines.append("```")
    return lines


def tables() -> list[str]:
    """Return the flows and the decisions as tables."""
    lines = [
        "| flow | from, to | what | if it is lost, or its sender killed |",
        "| --- | --- | --- | --- |",
    ]
    for flow in FLOWS:
        ends = f"{PARTIES[flow.sender].split(',')[0]} → {PARTIES[flow.receiver].split(',')[0]}"
        lines.append(f"| {flow.number} | {ends} | {flow.text} | {flow.lost} |")
    lines += ["", "| phase | decision | next | when |", "| --- | --- | --- | --- |"]
    for row in TRANSITIONS:
        after = f"`{row.after}`" if row.after != END else "none"
        before = f"`{row.before}`" if row.before != BEGIN else "none"
        lines.append(f"| {before} | {row.verb} | {after} | {row.when} |")
    return lines


def main() -> int:
    """Return 0 unless the page differs from the table."""
    told = "The others obey what they are told, twins by `ctl`, the meter by the owner record."
    block = "\n".join([*sequence(), "", *tables(), "", *states(), "", told, *parties()])
    differs = f"{TARGET.name}: differs from meter_operator.flows"
    return marked_block.run(__doc__, TARGET, MARK, block, differs)


if __name__ == "__main__":
    sys.exit(main())
