"""Reads a dashboard as Grafana's own models have it (PyPI grafana-foundation-sdk, made from
Grafana's schemas), and writes it again: what does not come back as it was is nothing that Grafana
knows there, or is of another kind than it takes.

Usage: grafana_dashboard.py FILE
"""

import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard, prometheus, stat, timeseries


def lost(ours, theirs, path):
    """What of ours is not in theirs. They may have more: what is so where nothing is said."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from lost(value, theirs[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is not known"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs)):
            yield from lost(one, other, f"{path}[{number}]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{path} comes back as {theirs!r}, not {ours!r}"


def fits(value, kind):
    """Whether a value is of this kind, as far as annotations tell."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any or isinstance(kind, typing.TypeVar):
        return True
    if origin is typing.Union:
        return any(fits(value, one) for one in of)
    if origin is typing.Literal:
        return value in of
    if origin is list:
        return isinstance(value, list) and all(fits(one, of[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, of[1]) for one in value.values())
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in {one.value for one in kind}
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or kind)


def misfits(model, path):
    """Values below a model that are of another kind than its annotations say."""
    if isinstance(model, list):
        for number, one in enumerate(model):
            yield from misfits(one, f"{path}[{number}]")
    elif isinstance(model, dict):
        for name, one in model.items():
            yield from misfits(one, f"{path}.{name}")
    elif type(model).__module__.startswith("grafana_foundation_sdk.models") and hasattr(model, "__dict__"):
        module = sys.modules[type(model).__module__]
        kinds = typing.get_type_hints(type(model), vars(module))
        for name, value in vars(model).items():
            if name in kinds and not fits(value, kinds[name]):
                yield f"{path}.{name} is {value!r}, not {kinds[name]}"
            yield from misfits(value, f"{path}.{name}")


def main(file):
    plugins.register_default_plugins()
    with open(file, encoding="utf-8") as opened:
        ours = json.load(opened)
    read = dashboard.Dashboard.from_json(ours)
    theirs = json.loads(JSONEncoder(sort_keys=True).encode(read))
    wrong = list(lost(ours, theirs, "")) + list(misfits(read, ""))
    # Else nothing of what is within them was looked at.
    for panel in read.panels or []:
        for target in getattr(panel, "targets", None) or []:
            if not isinstance(target, prometheus.Dataquery):
                wrong.append(f"a question of panel {panel.title} is none for Prometheus")
        options = getattr(panel, "options", None)
        if panel.type_val != "row" and not isinstance(options, (stat.Options, timeseries.Options)):
            wrong.append(f"panel {panel.title} is of no known kind: {panel.type_val}")
    if not read.panels:
        wrong.append("there are no panels")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main(sys.argv[1])
