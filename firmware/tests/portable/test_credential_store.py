"""A renewal in the flash: old or new at each power cut, and below an engineer's word. Both Pythons."""

from credential_store import DAMAGED, UNUSABLE, Credentials
from fake_certificates import to_pem
from flash_with_cuts import CutFlash, Medium, PowerCutError

TLS = {"ca": ["ca.der"], "cert": "meter.crt.der", "key": "meter.key.der", "renew_from": 7}
FILES = {"ca.der": b"\x30CA", "meter.crt.der": b"\x30provisioned", "meter.key.der": b"key"}
PROVISIONED = ([b"\x30CA"], b"\x30provisioned", b"key")
FIRST = (b"\x30first", [b"\x30A"], 100)
SECOND = (b"\x30second", [b"\x30B", b"\x30A"], 200)
BAD = b"\x30 TLS does not read this"


def make_context(anchors, certificate, key):
    """Stand for `tls_client.tls_context`: the context is what it was made of."""
    if BAD in anchors or certificate == BAD:
        raise ValueError("not a certificate")
    return anchors, certificate, key


def boot(medium, files=FILES, tls=TLS):
    """Return (credentials, context) of a start."""
    credentials = Credentials(tls, CutFlash(medium), make_context, lambda path: files[path])
    return credentials, credentials.open()


def context_of(renewal):
    return (renewal[1], renewal[0], b"key")


def test_without_a_renewal_the_provisioned_files_count():
    medium = Medium()
    credentials, context = boot(medium)
    assert context == PROVISIONED
    assert (credentials.renew_from_s, credentials.fault) == (7, 0)
    assert credentials.certificate() == b"\x30provisioned"
    assert medium.operations == 0


def test_a_renewal_counts_at_once_and_at_each_start():
    medium = Medium()
    for renewal in (FIRST, SECOND, FIRST):
        credentials, _context = boot(medium)
        assert credentials.store(*renewal) == context_of(renewal)
        for one in (credentials, boot(medium.survive())[0]):
            assert one.open() == context_of(renewal)
            assert one.certificate() == renewal[0]
            assert (one.renew_from_s, one.fault) == (renewal[2], 0)


def test_a_power_cut_at_any_operation_leaves_the_old_or_the_new():
    for before in (None, FIRST):
        whole = Medium()
        if before:
            boot(whole)[0].store(*before)
        begin = whole.operations
        boot(whole)[0].store(*SECOND)
        cuts = 0
        for cut in range(begin, whole.operations):
            for keep in range(5):
                medium = Medium()
                if before:
                    boot(medium)[0].store(*before)
                medium.cut_at, medium.keep = cut, keep
                try:
                    boot(medium)[0].store(*SECOND)
                except PowerCutError:
                    cuts += 1
                medium = medium.survive()
                credentials, context = boot(medium)
                old = context_of(before) if before else PROVISIONED
                assert context in (old, context_of(SECOND)), (cut, keep)
                assert credentials.fault in ((0,) if before else (0, DAMAGED))
                credentials.store(*SECOND)
                assert boot(medium.survive())[1] == context_of(SECOND)
        assert cuts >= 8


def test_who_provisions_the_board_again_is_above_an_older_renewal():
    for name in ("ca.der", "meter.crt.der"):
        medium = Medium()
        boot(medium)[0].store(*FIRST)
        again = dict(FILES)
        again[name] = b"\x30again"
        medium = medium.survive()
        credentials, context = boot(medium, again)
        assert context[1] == again["meter.crt.der"]
        assert (credentials.renew_from_s, credentials.fault) == (7, 0)
        assert credentials.certificate() == again["meter.crt.der"]
        assert credentials.store(*SECOND) == context_of(SECOND)
        assert boot(medium.survive(), again)[1] == context_of(SECOND)
        assert boot(medium.survive())[1] == PROVISIONED


def test_a_second_provisioned_anchor_is_another_provisioning():
    medium = Medium()
    boot(medium)[0].store(*FIRST)
    two, files = dict(TLS), dict(FILES)
    two["ca"] = ["ca.der", "next.der"]
    files["next.der"] = b"\x30next"
    assert boot(medium.survive(), files, two)[1][0] == [b"\x30CA", b"\x30next"]


def test_a_damaged_renewal_is_told_and_passed_over():
    whole = Medium()
    boot(whole)[0].store(*FIRST)
    name = list(whole.files)[0]  # noqa: RUF015 - MicroPython
    for at in range(len(whole.files[name])):
        medium = whole.survive()
        medium.files[name][at] ^= 1
        credentials, context = boot(medium)
        assert context == PROVISIONED
        assert (credentials.fault, credentials.renew_from_s) == (DAMAGED, 7)
        assert credentials.certificate() == b"\x30provisioned"


def test_of_two_renewals_the_older_counts_when_the_newer_is_damaged():
    medium = Medium()
    credentials, _context = boot(medium)
    credentials.store(*FIRST)
    names = list(medium.files)
    credentials.store(*SECOND)
    newer = [name for name in medium.files if name not in names][0]  # noqa: RUF015
    medium.files[newer][20] ^= 1
    assert boot(medium)[1] == context_of(FIRST)


def test_a_renewal_that_tls_does_not_load_is_not_kept():
    for bad in ((BAD, [b"\x30A"], 1), (b"\x30first", [BAD], 1)):
        medium = Medium()
        credentials, _context = boot(medium)
        try:
            credentials.store(*bad)
        except ValueError:
            pass
        else:
            raise AssertionError
        assert not medium.files
        assert credentials.open() == PROVISIONED


def test_a_kept_renewal_that_tls_loads_no_more_gives_way_to_the_provisioned_files():
    medium = Medium()
    boot(medium)[0].store(*FIRST)

    def picky(anchors, certificate, key):
        if certificate == FIRST[0]:
            raise OSError(1)
        return anchors, certificate, key

    credentials = Credentials(TLS, CutFlash(medium), picky, lambda path: FILES[path])
    assert credentials.open() == PROVISIONED
    assert (credentials.fault, credentials.renew_from_s) == (UNUSABLE, 7)
    assert credentials.certificate() == b"\x30provisioned"


def test_what_is_asked_with_is_der_though_pem_was_provisioned():
    files = dict(FILES)
    files["meter.crt.der"] = to_pem(b"\x30provisioned")
    assert boot(Medium(), files)[0].certificate() == b"\x30provisioned"
