"""What kubectl says when it fails: the field and the remedy that its message leaves out. Pure.

Neighbour: `cluster`, which runs it. Roles are those of the chart (docs/reference/rbac.md).
"""

import re

from kubectl_meter.errors import MeterError

_NO_CLUSTER = (
    "The connection to the server",
    "Unable to connect to the server",
    "error loading config file",
    "no configuration has been provided",
)
# It was reached: the address is right, so the kubeconfig is not what is wrong.
_SLOW = (
    "TLS handshake timeout",
    "Client.Timeout exceeded while awaiting headers",
    "unable to return a response in the time allotted",
)
_FORBIDDEN = re.compile(r'cannot (?P<verb>[a-z]+) resource "(?P<resource>[a-z./]+)"')
_INVALID = re.compile(
    r'The (?P<kind>\w+) "(?P<name>[^"]+)" is invalid:\s*(?P<causes>.+)', re.DOTALL
)
_CAUSE = re.compile(r"(?:\* )?(?P<field>[\w.\[\]]+): (?P<why>.+)")
_OURS = ("smartmeters", "twinprofiles")
_READS = ("get", "list", "watch")


def explain(text: str) -> MeterError:
    """Return kubectl's last message without its prefix, and what to do about it if known."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    invalid = _find_invalid("\n".join(lines))
    if invalid is not None:
        return invalid
    last = lines[-1] if lines else "kubectl failed and said nothing"
    said = last.removeprefix("error: ").removeprefix("Error from server ")
    if said.startswith("(NotFound): smartmeters"):
        remedy = "`kubectl get meters` lists the meters of a namespace, -n names another one"
        return MeterError(said, field="NAME", remedy=remedy)
    if said.startswith("(NotFound): twinprofiles"):
        remedy = "`kubectl get twinprofiles` lists those of a namespace, -n names another one"
        return MeterError(said, field="--profile", remedy=remedy)
    if said.startswith("(NotFound): namespaces"):
        remedy = "`kubectl get smartmeters -A` shows in which namespaces there are meters"
        return MeterError(said, field="--namespace", remedy=remedy)
    forbidden = _FORBIDDEN.search(said)
    if forbidden:
        return _forbidden(said, forbidden["verb"], forbidden["resource"])
    if any(words in said for words in _SLOW):
        remedy = "the API server is there, but slow: try again; `kubectl get --raw /readyz` asks it"
        return MeterError(said, remedy=remedy)
    if "context" in said and ("does not exist" in said or "was not found" in said):
        remedy = "`kubectl config get-contexts` lists those of the kubeconfig"
        return MeterError(said, field="--context", remedy=remedy)
    if any(words in said for words in _NO_CLUSTER):
        remedy = (
            "`kubectl config view` shows what is used; name a kubeconfig in the environment"
            " variable KUBECONFIG, or a context with --context"
        )
        return MeterError(said, field="KUBECONFIG", remedy=remedy)
    return MeterError(said)


def _forbidden(said: str, verb: str, resource: str) -> MeterError:
    """Return what is forbidden, and the least role of the chart that may do it."""
    role = "metertwin-meter-admin"
    if resource in _OURS and verb in _READS:
        role = "metertwin-meter-reader"
    elif resource.startswith("pods") or (resource == "events" and verb in _READS):
        role = "metertwin-meter-operator"
    elif resource == "secrets" and verb in _READS:
        role = "metertwin-provisioner"
    part, _, below = resource.partition("/")
    ask = f"{verb} {part} --subresource={below}" if below else f"{verb} {part}"
    return MeterError(
        said,
        field=f"{verb} {resource}",
        remedy=f"ask for the role {role} (docs/reference/rbac.md);"
        f" `kubectl auth can-i {ask}` says whether you have it",
    )


def _find_invalid(said: str) -> MeterError | None:
    """Return which field the API refuses, and why; None if that is not what it said."""
    found = _INVALID.search(said)
    cause = _CAUSE.match(found["causes"]) if found else None
    if found is None or cause is None:
        return None
    field, kind = cause["field"], found["kind"].lower()
    rest = [line.removeprefix("* ") for line in found["causes"].splitlines()[1:]]
    path = re.sub(r"\[[^]]*\]", "", field)
    return MeterError(
        "; ".join([f"(Invalid) {kind} {found['name']}: {cause['why']}", *rest]),
        field=field,
        remedy=f"`kubectl explain {kind}.{path}` says what it may be",
    )
