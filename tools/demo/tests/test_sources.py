"""Places that packages come from are tried before anything is fetched, as each tool is set up."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator

import pytest
from own_checkout import Checkout

UV = "uv-{}/bin/uv"


def find(checkout: Checkout, expression: str, **environment: str) -> object:
    """Return what an expression about `sources` and `reach` is, in the demo's own Python."""
    head = "import json, os, pathlib, reach as r, sources as s; cache = pathlib.Path('cache');"
    done = checkout.ask(f"{head} print(json.dumps({expression}))", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without(*names: str) -> dict[str, str]:
    """Return an environment in which what the fixture set is not set."""
    return dict.fromkeys(names, "")


@pytest.fixture
def closed() -> Iterator[str]:
    """An address that nobody listens at, kept from everybody else."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


@pytest.fixture
def opened() -> Iterator[str]:
    """An address that somebody listens at, who never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address from which nothing comes back: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for one in held:
            one.close()


def cluster_that_is_content(checkout: Checkout) -> None:
    """Let the local cluster lack nothing, and have all its programs."""
    (checkout.root / "built").mkdir()
    (checkout.root / "tools/cluster/cluster").write_text(
        f'#!/bin/sh\ncase "$1" in bin) echo {checkout.root}/built ;; folder) echo /nowhere ;; esac\n'
    )


def test_an_index_that_does_not_answer_is_named_before_uv_is_installed(
    checkout: Checkout, closed: str
) -> None:
    cluster_that_is_content(checkout)
    told = without("PIP_NO_INDEX") | {"PIP_INDEX_URL": f"http://{closed}/simple"}
    done = checkout.run("tools/demo/check", **told)
    said = f"uv cannot be fetched from {closed} (Connection refused)"
    assert (done.returncode, done.stderr) == (1, f"error: {said}\n")


def test_what_is_missing_and_what_does_not_answer_stand_in_one_line(
    checkout: Checkout, closed: str
) -> None:
    (checkout.root / "tools/cluster/cluster").write_text(
        '#!/bin/sh\n[ "$1" = folder ] && echo /nowhere && exit\n'
        'echo "cluster: this machine needs root" >&2\nexit 1\n'
    )
    told = without("PIP_NO_INDEX") | {"PIP_INDEX_URL": f"http://{closed}/simple"}
    done = checkout.run("tools/demo/check", **told)
    assert "needs root" in done.stderr
    assert "uv cannot be fetched" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_index_that_answers_is_no_lack_whatever_it_says(checkout: Checkout, opened: str) -> None:
    cluster_that_is_content(checkout)
    told = without("PIP_NO_INDEX") | {"PIP_INDEX_URL": f"http://{opened}/simple"}
    done = checkout.run("tools/demo/check", **told)
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_is_asked_when_nothing_is_to_be_fetched(checkout: Checkout, closed: str) -> None:
    cluster_that_is_content(checkout)
    version = find(checkout, "s.re.search('UV_VERSION := (.*)', open('Makefile').read())[1]")
    uv = checkout.root / "cache" / UV.format(version)
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\necho Would make no changes >&2\n")
    uv.chmod(0o755)
    told = without("PIP_NO_INDEX", "UV_OFFLINE") | {"PIP_INDEX_URL": f"http://{closed}/simple"}
    (checkout.root / "uv.lock").write_text(f'url = "http://{closed}/x.whl"\n')
    assert checkout.run("tools/demo/check", **told).stderr == ""
    uv.write_text("#!/bin/sh\necho Would download 2 packages >&2\n")
    done = checkout.run("tools/demo/check", **told)
    assert f"Python packages cannot be fetched from {closed}" in done.stderr


def test_a_place_that_says_nothing_holds_nobody_up(checkout: Checkout, silent: str) -> None:
    host, port = silent.split(":")
    begun = time.monotonic()
    found = find(checkout, f"r.find_unreachable([r.Place('x', (r.End('{host}', {port}),))] * 3)")
    assert found == [f"x cannot be fetched from {silent} (no answer within 4 s)"] * 3
    assert time.monotonic() - begun < 30


def test_one_end_of_a_place_is_enough(checkout: Checkout, closed: str, opened: str) -> None:
    ends = ", ".join(f"r.End('127.0.0.1', {end.split(':')[1]})" for end in (closed, opened))
    assert find(checkout, f"r.find_unreachable([r.Place('x', ({ends}))])") == []


@pytest.mark.parametrize(
    ("proxies", "end"),
    [
        pytest.param({}, ["pypi.org", 443], id="none"),
        pytest.param({"https_proxy": "http://p:3128"}, ["p", 3128], id="of the scheme"),
        pytest.param({"http_proxy": "http://p:3128"}, ["pypi.org", 443], id="of another scheme"),
        pytest.param({"ALL_PROXY": "socks5://p:1080"}, ["p", 1080], id="of all"),
        pytest.param({"https_proxy": "p:3128"}, ["p", 3128], id="without a scheme"),
        pytest.param({"https_proxy": "http://p"}, None, id="whose port is not told"),
        pytest.param(
            {"https_proxy": "http://p:3128", "no_proxy": "pypi.org"},
            ["pypi.org", 443],
            id="not here",
        ),
    ],
)
def test_a_proxy_is_asked_in_the_place_of_the_index(
    checkout: Checkout, proxies: dict[str, str], end: list[object] | None
) -> None:
    code = "r.find_end('https://pypi.org/simple', r.proxies_in_use())"
    assert find(checkout, code, **proxies) == end


@pytest.mark.parametrize(
    ("text", "variables", "index"),
    [
        pytest.param("", {}, "https://pypi.org/simple", id="nothing is set"),
        pytest.param("[global]\nindex-url = http://a/", {}, "http://a/", id="a file"),
        pytest.param("[install]\nindex_url = http://a/", {}, "http://a/", id="for install"),
        pytest.param(
            "[global]\nindex-url=http://a/", {"PIP_INDEX_URL": "http://b/"}, "http://b/", id="both"
        ),
        pytest.param("[global]\nfind-links = /wheels", {}, "", id="wheels of a folder"),
        pytest.param("", {"PIP_NO_INDEX": "1"}, "", id="no index"),
        pytest.param("no settings at all", {}, "https://pypi.org/simple", id="an odd file"),
    ],
)
def test_the_index_of_pip_is_the_one_that_pip_was_told(
    checkout: Checkout, text: str, variables: dict[str, str], index: str
) -> None:
    (checkout.root / "pip.conf").write_text(text)
    told = without("PIP_NO_INDEX") | {"PIP_CONFIG_FILE": f"{checkout.root}/pip.conf"} | variables
    code = "s.pip_index(s.pip_settings(os.environ, [pathlib.Path('pip.conf')]))"
    assert find(checkout, code, **told) == index
    assert f"{checkout.root}/pip.conf" == find(checkout, "str(s.pip_files(os.environ)[-1])", **told)


@pytest.mark.parametrize(
    ("proxy", "ends"),
    [
        pytest.param("https://a,direct", [["a", 443]], id="a comma: not found there"),
        pytest.param("https://a|http://b:81", [["a", 443], ["b", 81]], id="a bar: any failure"),
        pytest.param("https://a|direct", None, id="or from anywhere"),
        pytest.param("direct", None, id="from anywhere"),
        pytest.param("off", None, id="from nowhere"),
        pytest.param("file:///mirror", None, id="from a folder"),
    ],
)
def test_the_module_proxy_is_the_one_that_go_was_told(
    checkout: Checkout, proxy: str, ends: list[list[object]] | None
) -> None:
    checkout.program("go")
    checkout.answer("go env GOPROXY GONOPROXY GOMODCACHE", f"{proxy}\n\n/none\n")
    assert find(checkout, "s.go_places()") == ([["Go modules", ends]] if ends else [])


def test_go_modules_that_are_there_are_not_fetched(checkout: Checkout) -> None:
    checkout.program("go")
    told = f"https://a,direct\n\n{checkout.root}/modules\n"
    checkout.answer("go env GOPROXY GONOPROXY GOMODCACHE", told)
    archives = find(checkout, "list(s.program_archives())")
    assert isinstance(archives, list)
    assert any(name.startswith("k8s.io/kubernetes/@v/v1.") for name in archives)
    for name in archives:
        assert find(checkout, "len(s.go_places())") == 1
        path = checkout.root / "modules/cache/download" / name
        path.parent.mkdir(parents=True)
        path.touch()
    assert find(checkout, "s.go_places()") == []


@pytest.mark.parametrize(
    ("configuration", "end"),
    [
        pytest.param("", ["deb.debian.org", 80], id="no proxy"),
        pytest.param('Acquire::http::Proxy "http://p:3142";', ["p", 3142], id="a proxy"),
        pytest.param('Acquire::http::Proxy "DIRECT";', ["deb.debian.org", 80], id="none at all"),
        pytest.param('Acquire::http::Proxy::a.org "http://p:1";', None, id="one for some hosts"),
        pytest.param('Acquire::http::Proxy-Auto-Detect "/x";', None, id="one that is looked for"),
    ],
)
def test_debian_is_asked_as_apt_would(
    checkout: Checkout, configuration: str, end: list[object] | None
) -> None:
    checkout.program("apt-config", "buildah", "mmdebstrap", "skopeo")
    checkout.answer("apt-config dump", configuration + "\n")
    places = find(checkout, "[one for one in s.debian_places(cache) if 'images' in one.what]")
    assert places == ([["the images' Debian", [end]]] if end else [])


def test_debian_that_was_read_once_is_not_asked(checkout: Checkout) -> None:
    checkout.program("apt-config", "buildah", "mmdebstrap", "skopeo")
    (checkout.root / "cache/debian").mkdir(parents=True)
    (checkout.root / "cache/debian/1.json").touch()
    assert find(checkout, "[one for one in s.debian_places(cache) if 'images' in one.what]") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
@pytest.mark.parametrize(
    ("sites", "ends"),
    [
        pytest.param(
            "http://a/debian\nhttp://a/debian\nhttps://b/x", [["a", 80], ["b", 443]], id="2"
        ),
        pytest.param("http://a/debian\nfile:/mirror", None, id="one that cannot be tried"),
        pytest.param("", None, id="no sources"),
    ],
)
def test_the_sources_of_missing_packages_are_those_of_apt(
    checkout: Checkout, sites: str, ends: list[list[object]] | None
) -> None:
    checkout.program("apt-config", "apt-get")
    for name in ("basename", "cat", "tr"):
        (checkout.root / "fakes" / name).symlink_to(str(shutil.which(name)))
    checkout.answer("apt-get indextargets --format $(SITE)", sites)
    places = find(
        checkout,
        "[one for one in s.debian_places(cache) if one.what == 'Debian packages']",
        PATH=f"{checkout.root}/fakes",
    )
    assert places == ([["Debian packages", ends]] if ends else [])
