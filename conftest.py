"""nbval compares text. A decimal number in it may differ by what another processor's arithmetic makes of it."""

import re

from nbval.plugin import IPyNbCell

NUMBER = re.compile(r"(?<![\d.])-?\d+\.\d+(?:e[+-]?\d+)?(?![\d.])")
RELATIVE = 0.005
"""Tolerance of decimal numbers; whole ones are compared as they are."""

NEAR_ONE = 0.1
"""A share near 1 tells by what it lacks: the tolerance is of that then, but of no less than this."""


def near(text, reference):
    """``text`` with every decimal number that is close to the reference's written as it is there."""
    found, kept = NUMBER.findall(text), NUMBER.findall(reference)
    if len(found) != len(kept):
        return text
    pairs = iter(zip(found, kept, strict=True))

    def one(_):
        a, b = next(pairs)
        x, y = float(a), float(b)
        size = min(abs(y), max(abs(1 - y), NEAR_ONE))
        return b if abs(x - y) <= RELATIVE * size else a

    return NUMBER.sub(one, text)


compare = IPyNbCell.compare_outputs


def compare_within_tolerance(cell, test, ref, skip_compare=None):
    """nbval's own comparison, of outputs whose numbers were brought to the reference's where they are close."""
    for out, kept in zip(test, ref, strict=False):
        if "text" in out and "text" in kept:
            out["text"] = near(out["text"], kept["text"])
        for kind in set(out.get("data", {})) & set(kept.get("data", {})):
            if isinstance(out["data"][kind], str):
                out["data"][kind] = near(out["data"][kind], kept["data"][kind])
    return compare(cell, test, ref, skip_compare)


IPyNbCell.compare_outputs = compare_within_tolerance
