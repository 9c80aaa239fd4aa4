"""Who may read what at the broker, and what nobody may write: the table that attempts are made from.

`test_acl.py` tries it on a broker of its own, `tests/street/test_broker_rules.py` on the running
one. Users are named as in certificates: meter `house-1`, its twin of epoch 1 `house-1/1`.
"""

OPERATOR = "Operator.metertwin"
ENDS = ("ctl", "down", "state", "up")
DEVICE_ENDS = ("owner", "hello", "renew", "renewed")


def build_foreign(device: str, epoch: int = 1) -> list[str]:
    """Return the topics of a device, as another one sees them."""
    topics = [f"mt/{device}/{epoch}/{end}" for end in ENDS]
    return [*topics, *[f"mt/{device}/{end}" for end in DEVICE_ENDS]]


def build_forbidden(device: str, other: str) -> list[tuple[str, str]]:
    """Return (user, topic) of what `device`, its twin of epoch 1 and the operator may not write."""
    meter, twin, mine = device, f"{device}/1", f"mt/{device}"
    return [
        *[(who, topic) for who in (meter, twin) for topic in build_foreign(other)],
        # a meter does not speak for its twin or the operator
        *[(meter, f"{mine}/{end}") for end in ("1/down", "1/ctl", "1/state", "owner", "renewed")],
        *[(meter, f"{mine}/2/{end}") for end in ("down", "ctl", "state")],
        # a twin does not speak for its meter or the operator
        *[(twin, f"{mine}/{end}") for end in ("1/up", "1/ctl", *DEVICE_ENDS)],
        # an old epoch's twin does not touch the new epoch
        *[(twin, f"{mine}/2/{end}") for end in ENDS],
        *[(who, "elsewhere") for who in (meter, twin, OPERATOR)],
        *[(who, f"{mine}/1/up/deeper") for who in (meter, twin, OPERATOR)],
        # the operator neither measures nor acknowledges, and asks for nothing
        *[(OPERATOR, f"{mine}/{end}") for end in ("1/up", "1/down", "hello", "renew")],
    ]


def build_readable(who: str) -> list[str]:
    """Return the filters of all that a user may read."""
    if who == OPERATOR:
        return ["mt/+/+/state", "mt/+/hello", "mt/+/+/ctl", "mt/+/owner", "mt/+/renew"]
    if "/" in who:
        return [f"mt/{who}/up", f"mt/{who}/ctl"]
    return [f"mt/{who}/+/down", f"mt/{who}/owner", f"mt/{who}/renewed"]


def build_greedy(own: str) -> list[str]:
    """Return filters that reach far beyond what anybody may read; `own`: one that is allowed."""
    wide = ["#", "+/+/+/+", "mt/#", "mt/+/+/down", "mt/+/owner", "$SYS/#", "$share/g/mt/#"]
    return [*wide, own]
