"""Structured mutations: a document stays one that its parser reads, and its values become odd."""

import copy
import math

LONG = "x" * 5000
NUMBERS = (0, -1, -0.0, 0.5, 1e-300, 1e9, 1e308, -1e308, 2**31, 2**63, -(2**63), 10**400)
NOT_FINITE = (math.nan, math.inf, -math.inf)
WORDS = (
    *("", " ", "0", "-5", "1e400", "nan", "inf", "None", "\u00b2", "\u0663", "9" * 400, "9" * 5000),
    *(
        LONG,
        "a/" * 3000,
        "../" * 20 + "etc/passwd",
        "/",
        ".",
        "..",
        "a\0b",
        "a\nb",
        "\ud800",
        "\u202e",
    ),
    *(
        "=1+1",
        "<b>",
        "%s{}",
        "\x1b[31m",
        "train",
        "b.png",
        "1" * 300 + ".5",
        "1_0",
        "0x10",
        "**",
        "[a",
    ),
)
OTHERS = (None, True, False, [], {}, [[]], [None], {"a": 1}, [1, 2, 3, 4], "1,2,3,4")


def nested(depth, kind):
    value = 1
    for _ in range(depth):
        value = [value] if kind else {"a": value}
    return value


def places(tree):
    """List each place in a tree as (container, key)."""
    found, left = [], [tree]
    while left:
        one = left.pop()
        keys = range(len(one)) if isinstance(one, list) else list(one)
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], list | dict):
                left.append(one[key])
    return found


def odd_value(source):
    return copy.deepcopy(source.choice(source.choice((NUMBERS, NOT_FINITE, WORDS, OTHERS))))


def change(tree, source):
    """Change one place of a tree; return what was done."""
    container, key = source.choice(places(tree))
    kind = source.choice(
        (
            "odd",
            "odd",
            "odd",
            "negative",
            "scaled",
            "drop",
            "double",
            "swap",
            "deep",
            "rename",
            "type",
        )
    )
    value = container[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "negative" and is_number:
        container[key] = -value
    elif kind == "scaled" and is_number:
        container[key] = value * source.choice((1e3, 1e-9, 1e200))
    elif kind == "drop":
        del container[key]
    elif kind == "double" and isinstance(container, list):
        container.insert(key, copy.deepcopy(value))
    elif kind == "swap":
        other, name = source.choice(places(tree))
        container[key], other[name] = copy.deepcopy(other[name]), copy.deepcopy(value)
    elif kind == "deep":
        container[key] = nested(source.choice((1, 30, 60, 95, 200)), source.random() < 0.5)
    elif kind == "rename" and isinstance(container, dict):
        container[source.choice(("", "id", "Label", LONG, "\ud800"))] = container.pop(key)
    elif kind == "type":
        container[key] = [value] if source.random() < 0.5 else {"a": value}
    else:
        kind, container[key] = "odd", odd_value(source)
    return kind


def mutate(tree, source):
    """Return a copy of a tree with one to four changes."""
    changed = copy.deepcopy(tree)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        if places(changed):
            change(changed, source)
    return changed
