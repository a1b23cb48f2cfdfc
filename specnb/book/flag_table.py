"""The how-to's tables of quality flags, from the rules that set them."""

from specnb.observing.flags import RULES, Reason


def _rows(rules: list[Reason]) -> str:
    """Write a table of flags, Markdown: bit and name, what is usually behind it, what to do."""
    lines = [
        f"| {int(rule.flag)} | {str(rule.flag.name).replace('_', ' ').lower()} | {rule.cause}. *{rule.remedy}.* |"
        for rule in rules
    ]
    return "\n".join(
        ["| bit | flag | what is behind it, and what to do |", "|---|---|---|", *lines]
    )


def markdown() -> str:
    """Write both tables: the flags that forbid use, and those that ask to take note."""
    forbid = [rule for rule in RULES if rule.do_not_use]
    note = [rule for rule in RULES if not rule.do_not_use]
    return (
        f"**Do not use** (`good` is false):\n\n{_rows(forbid)}\n\n**Take note:**\n\n{_rows(note)}\n"
    )
