"""Whether what runs is what was built here: the guard before the tests of the street."""

import json

from demo import BOARDS, DEVICES, ROOT, WHOLE, get

ROLES = {
    "firmware": "meter",
    "firmware-esp8266": "meter",
    "twin": "twin",
    "operator": "operator",
    "mosquitto": "broker",
    "archive": "archive",
    "postgres": "postgres",
}
OF_METERS = {"firmware": WHOLE, "firmware-esp8266": BOARDS, "twin": DEVICES}


def runs_what_was_built():
    """Whether meters, twins, operator, broker and archive are of the images built here, if any were.

    Raises:
        AssertionError: some are not; they are named.
    """
    pods = {}
    for image, role in ROLES.items():
        chosen = f"metertwin.io/role={role}"
        if image in OF_METERS:
            chosen += f",metertwin.io/device in ({','.join(OF_METERS[image])})"
        pods[image] = get("pod", "-l", chosen)
    found = outdated(pods, {image: built_tag(image) for image in ROLES})
    assert not found, found
    return True


def built_tag(image):
    """Return the tag of an image that was built here, or nothing."""
    record = ROOT / "build/images" / f"{image}.json"
    return json.loads(record.read_text())["tag"] if record.exists() else None


def outdated(pods, tags):
    """Return pod → image of those that run another one than was built, and images nobody runs.

    The first container counts: beside it another of our images may run.

    Args:
        pods: image → the pods that should run it.
        tags: image → tag, or nothing if it was not built here.
    """
    found = {}
    for image, rows in pods.items():
        if tags[image] and not rows:
            found[image] = "no pod"
        for pod in rows:
            used = pod["spec"]["containers"][0]["image"]
            if tags[image] and not used.endswith(f"/{image}:{tags[image]}"):
                found[pod["metadata"]["name"]] = used
    return found
