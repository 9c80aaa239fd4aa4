"""The guard before the tests of the street names what is not of the images built here."""

import pytest
from built import ROLES, outdated

TAGS = dict.fromkeys(ROLES, "dev-new")


@pytest.fixture(scope="session", autouse=True)
def street():
    """Nothing of the running street is needed here."""


def pod(image, tag):
    containers = [{"image": f"localhost/metertwin/{image}:{tag}"}, {"image": "beside:it"}]
    return {"metadata": {"name": f"pod-of-{image}"}, "spec": {"containers": containers}}


def street_with(**tags):
    return {image: [pod(image, tags.get(image, "dev-new"))] for image in ROLES}


def test_a_street_of_the_built_images_passes():
    assert outdated(street_with(), TAGS) == {}


@pytest.mark.parametrize("image", ROLES)
def test_a_pod_of_another_image_is_named(image):
    found = outdated(street_with(**{image: "dev-old"}), TAGS)
    assert found == {f"pod-of-{image}": f"localhost/metertwin/{image}:dev-old"}


@pytest.mark.parametrize("image", ROLES)
def test_an_image_that_nobody_runs_is_named(image):
    assert outdated({**street_with(), image: []}, TAGS) == {image: "no pod"}


def test_images_that_were_not_built_here_are_not_compared():
    assert outdated(street_with(operator="1.0"), {**TAGS, "operator": None}) == {}
