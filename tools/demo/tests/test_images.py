"""How an image gets onto a cluster that is not ours: the commands, never a real kind or k3d."""

import json

import pytest
from own_checkout import Checkout

LOAD = "import images, target; images.load_image(target.Target('k', {!r}, 'mine'), {!r})"
BUILT = "localhost/metertwin/twin"
SKOPEO = "skopeo copy --quiet"


@pytest.fixture
def built(checkout: Checkout) -> Checkout:
    """A twin and its next version, which is another name of an image over it."""
    checkout.program("skopeo", "kind", "k3d")
    folder = checkout.root / "build/images"
    folder.mkdir(parents=True)
    (folder / "twin.json").write_text(json.dumps({"tag": "dev-1"}))
    later = {"tag": "2.0-2", "base": "twin", "version": "2.0"}
    (folder / "twin-next.json").write_text(json.dumps(later))
    return checkout


@pytest.mark.parametrize(
    ("loader", "command"),
    [
        ("kind", "kind load image-archive {docker} --name mine"),
        ("k3d", "k3d image import {docker} -c mine"),
    ],
)
def test_kind_and_k3d_import_a_docker_archive(built: Checkout, loader: str, command: str) -> None:
    done = built.ask(LOAD.format(loader, "twin"))
    assert done.returncode == 0, done.stderr
    path = f"{built.root}/build/images/twin"
    docker = f"{path}.docker.tar"
    assert built.calls() == [
        f"{SKOPEO} oci-archive:{path}.tar:{BUILT}:dev-1 docker-archive:{docker}:{BUILT}:dev-1",
        command.format(docker=docker),
    ]


def test_an_archive_that_stands_from_before_is_written_anew(built: Checkout) -> None:
    """Skopeo refuses to change a docker archive."""
    old = built.root / "build/images/twin.docker.tar"
    old.touch()
    assert built.ask(LOAD.format("kind", "twin")).returncode == 0
    assert not old.exists()


def test_a_version_has_the_repository_of_its_base_and_both_of_its_names(built: Checkout) -> None:
    assert built.ask(LOAD.format("kind", "twin-next")).returncode == 0
    path = f"{built.root}/build/images/twin-next"
    assert built.calls()[0] == (
        f"{SKOPEO} --additional-tag={BUILT}:2.0 oci-archive:{path}.tar:{BUILT}:2.0-2"
        f" docker-archive:{path}.docker.tar:{BUILT}:2.0-2"
    )


@pytest.mark.parametrize(
    ("registry", "option"),
    [
        ("registry.example/me", ""),
        ("registry.example/me/", ""),
        ("localhost:5000/me", " --dest-tls-verify=false"),
        ("127.0.0.1:5000", " --dest-tls-verify=false"),
    ],
)
def test_a_registry_gets_each_name_of_an_image(built: Checkout, registry: str, option: str) -> None:
    done = built.ask(LOAD.format("registry", "twin-next"), REGISTRY=registry)
    assert done.returncode == 0, done.stderr
    path = f"oci-archive:{built.root}/build/images/twin-next.tar"
    where = f"docker://{registry.rstrip('/')}/twin"
    assert built.calls() == [
        f"skopeo copy{option} --quiet {path}:{BUILT}:2.0-2 {where}:2.0-2",
        f"skopeo copy{option} --quiet {path}:{BUILT}:2.0 {where}:2.0",
    ]
