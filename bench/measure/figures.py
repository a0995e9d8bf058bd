"""Figures, what they should reach, and how they compare: in the same round, so that what all relays suffered is in none of it."""

import statistics


class Target:
    """`figure` stands for another one, as `b.per_second`, of the relay that is compared with; without a relay the goal is a number."""

    def __init__(self, comparison, goal, relay=None, figure=None):
        self.comparison, self.goal, self.relay, self.figure = comparison, goal, relay, figure

    def words(self):
        whose = f" of {self.relay}'s" if self.relay else ""
        return f"{self.comparison} {self.goal:.3g}{whose}" + (f" ({self.figure.replace('.', ') ')}" if self.figure else "")

    def is_reached(self, value):
        return value >= self.goal if self.comparison == ">=" else value <= self.goal


def number(comparison, goal):
    return Target(comparison, goal)


def of(relay, comparison, goal, figure=None):
    return Target(comparison, goal, relay, figure)


class Figure:
    def __init__(self, key, words, decimals, *targets):
        self.key, self.words, self.decimals, self.targets = key, words, decimals, targets

    def text(self, values):
        """The median, and half of the distance between the extremes in percent of it."""
        if not values:
            return "-"
        middle = statistics.median(values)
        text = f"{middle:,.{self.decimals}f}"
        if len(values) > 1 and middle:
            text += f" ±{(max(values) - min(values)) / 2 / abs(middle) * 100:.0f} %"
        return text


def ratio(ours, theirs):
    """The median of the ratios of the rounds; None where there is nothing to compare."""
    ratios = [one / other for one, other in zip(ours, theirs) if other]
    return statistics.median(ratios) if ratios else None
