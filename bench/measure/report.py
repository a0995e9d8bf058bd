"""A run as a document: tables of medians with spread and ratios, targets, and what it was measured on."""

import statistics

from measure.figures import ratio
from measure.workloads import WORKLOADS

OURS = "gatepost"


def markdown(data):
    parts = [heading(data), machine(data), relays(data)]
    parts += [table(data, letter) for letter in WORKLOADS if letter in data["workloads"]]
    parts.append(targets(data))
    return "\n".join(parts)


def heading(data):
    return f"""# Measured

By `bench/run`, at commit {data["commit"]}. [README.md](README.md) says how each figure is taken. Medians of {data["rounds"]} rounds, ± half of the distance between
the extremes; in brackets the median of Gatepost's ratio to that relay, round by round.
"""


def machine(data):
    about = data["machine"]
    small, large = (statistics.median(data["disk"][key]) for key in ("small", "large"))
    return f"""{about["cores"]} cores ({about["processor"]}), {about["memory_gib"]} GiB, Linux {about["kernel"]}, {about["file_system"]}. Relay, client and next hop share them.
One writer with a sync for each piece appends {small:,.0f} pieces of 4 KiB a second, and {large:,.1f} of 5 MiB.
"""


def relays(data):
    lines = ["| relay | version | before its 250 |", "|---|---|---|"]
    lines += [f"| {name} | {about['version']} | {about['durability']} |" for name, about in data["relays"].items()]
    return "\n".join(lines) + "\n"


def table(data, letter):
    workload, results = WORKLOADS[letter], data["workloads"][letter]
    figures = [figure for figure in workload.figures if any(figure.key in values for values in results.values())]
    rows = [["", *(figure.words for figure in figures)], ["---", *("---:" for _ in figures)]]
    rows += [[name, *(cell(figure, results, name) for figure in figures)] for name in data["relays"] if name in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |" for row in rows]
    return f"## ({letter}) {workload.words}\n\n" + "\n".join(lines) + "\n"


def cell(figure, results, name):
    values = results[name].get(figure.key, [])
    text = figure.text(values)
    if name != OURS and values:
        compared = ratio(results.get(OURS, {}).get(figure.key, []), values)
        text += f" ({compared:.2g})" if compared is not None else ""
    return text


def targets(data):
    lines = ["## Targets", "", "| figure | target | reached |", "|---|---|---|"]
    for letter, figure, target in all_targets():
        value = reached_value(data, letter, figure, target)
        if value is not None:
            verdict = "yes" if target.is_reached(value) else "**no**"
            lines.append(f"| ({letter}) {figure.words} | {target.words()} | {verdict}: {value:.3g} |")
    return "\n".join(lines) + "\n"


def all_targets():
    for letter, workload in WORKLOADS.items():
        for figure in workload.figures:
            for target in figure.targets:
                yield letter, figure, target


def reached_value(data, letter, figure, target):
    """The median or the ratio that a target is about; None where one of them was not measured."""
    ours = values_of(data, letter, OURS, figure.key)
    if target.relay is None:
        return statistics.median(ours) if ours else None
    other_letter, key = target.figure.split(".") if target.figure else (letter, figure.key)
    return ratio(ours, values_of(data, other_letter, target.relay, key))


def values_of(data, letter, name, key):
    return data["workloads"].get(letter, {}).get(name, {}).get(key, [])
