"""XML signatures as OpenADR 2.0b uses them, by signxml (the port of `openadr2.signature_rules`).

Loaded only in a twin whose utility signs: signxml, lxml and cryptography cost more than all the
rest of the utility's side (pyproject.toml states it). What came is first read by our own parser,
whose limits on size, depth and document types hold before libxml2 sees an octet; what is handed on
is what the signature covers, never the document that it lay in (XML signature wrapping).

Source: XML Signature Syntax and Processing (W3C, 2008); OpenADR 2.0b Profile Specification, 10.6.
Neighbours: `signed_client` (who uses it), `utility` (builds it).
"""

import cryptography.exceptions
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from .openadr2.signature_rules import Sealed, SignatureError
from .openadr2.times import format_moment, parse_moment
from .openadr2.xml_codec import NAMESPACES, XmlError, parse_xml

_OADR = NAMESPACES["oadr"]
_DSP = "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties"
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_CERTIFICATE = ".//{http://www.w3.org/2000/09/xmldsig#}X509Certificate"
_OBJECT, _REPLAY = f"{{{_OADR}}}oadrSignedObject", f"{{{_DSP}}}ReplayProtect"
_REFERENCES = 2
_RULES = SignatureConfiguration(
    location="./",
    expect_references=_REFERENCES,
    signature_methods=frozenset({SignatureMethod.ECDSA_SHA256, SignatureMethod.RSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)
_NOT_HELD = (SignXMLException, cryptography.exceptions.InvalidSignature, etree.LxmlError)


class XmlSignatures:
    """Signs with the twin's certificate towards its utility; proves what the VTN has signed."""

    def __init__(self, certificate: str, key: str) -> None:
        """Take the places of the files, PEM; they are read for each payload, as they are then."""
        self._certificate = certificate
        self._key = key

    def sign(self, payload: str, now_s: int, nonce: str) -> bytes:
        """Return a payload with its signature; see the port."""
        root = etree.fromstring(payload.encode())
        signer = XMLSigner(
            method=SignatureConstructionMethod.detached,
            signature_algorithm=SignatureMethod.ECDSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            # the other one takes in what the frame declares, and openleadr's is another frame
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        try:
            signature = signer.sign(
                root,
                key=_read(self._key),
                cert=_read(self._certificate).decode("ascii"),
                reference_uri="#oadrSignedObject",
                signature_properties=_protect(now_s, nonce),
            )
        except (OSError, ValueError, TypeError, AttributeError, SignXMLException) as error:
            # not their text: it could quote the key
            text = (
                f"certificate or key cannot be used ({type(error).__name__}); an EC key is wanted"
            )
            raise SignatureError(text) from error
        root.insert(0, signature)
        return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))

    def open(self, octets: bytes) -> Sealed:
        """Return what a payload's signature proves; see the port."""
        try:
            parse_xml(octets)
            root = etree.fromstring(
                octets, etree.XMLParser(resolve_entities=False, no_network=True)
            )
        except (XmlError, etree.LxmlError) as error:
            raise SignatureError(f"no XML that is read: {error}") from error
        signatures = root.findall(_SIGNATURE)
        if root.tag != f"{{{_OADR}}}oadrPayload" or not signatures:
            raise SignatureError("is not signed")
        certificate = _find_certificate(signatures[0])
        try:
            found = XMLVerifier().verify(root, x509_cert=certificate, expect_config=_RULES)
        except (*_NOT_HELD, ValueError, TypeError, AttributeError) as error:
            raise SignatureError(f"its signature does not hold ({type(error).__name__})") from error
        assert isinstance(found, list)
        return _seal(found, certificate)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs 0.3 MiB
        return file.read()


def _protect(now_s: int, nonce: str) -> etree._Element:
    """Return a ReplayProtect; signxml moves its Id and Target to the property around it."""
    found = etree.Element(_REPLAY, nsmap={"dsp": _DSP}, Id="replay", Target="#oadrSignedObject")
    etree.SubElement(found, f"{{{_DSP}}}timestamp").text = format_moment(now_s)
    etree.SubElement(found, f"{{{_DSP}}}nonce").text = nonce
    return found


def _find_certificate(signature: etree._Element) -> x509.Certificate:
    """Return the certificate that a signature names; whether it is known is decided elsewhere."""
    text = signature.findtext(_CERTIFICATE) or ""
    try:
        pem = f"-----BEGIN CERTIFICATE-----\n{text.strip()}\n-----END CERTIFICATE-----\n"
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError as error:
        raise SignatureError("its signature names no certificate (X509Certificate)") from error


def _seal(found: list[VerifyResult], certificate: x509.Certificate) -> Sealed:
    signed = [one.signed_xml for one in found if one.signed_xml is not None]
    objects = [one for one in signed if one.tag == _OBJECT]
    protections = [one.find(f".//{_REPLAY}") for one in signed if one.tag != _OBJECT]
    if len(objects) != 1 or len(protections) != 1 or protections[0] is None:
        raise SignatureError("its signature covers no message, or no ReplayProtect")
    payload = etree.Element(f"{{{_OADR}}}oadrPayload", nsmap={"oadr": _OADR})
    payload.append(objects[0])
    try:
        signed_s = parse_moment(protections[0].findtext(f"{{{_DSP}}}timestamp") or "")
    except ValueError as error:
        raise SignatureError("its ReplayProtect has no timestamp") from error
    return Sealed(
        bytes(etree.tostring(payload)),
        certificate.public_bytes(Encoding.DER),
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
        signed_s,
        (protections[0].findtext(f"{{{_DSP}}}nonce") or "").strip(),
    )
