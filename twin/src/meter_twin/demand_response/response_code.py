"""What a VEN or a VTN answers with: codes of HTTP's kind (OpenADR 2.0b, application errors).

Version 3.1 refuses by reports; what is refused there has the same code here.
"""

OK = 200
OUT_OF_SEQUENCE = 450
NOT_ALLOWED = 451
INVALID_ID = 452
NOT_RECOGNIZED = 453
INVALID_DATA = 454
SIGNAL_NOT_SUPPORTED = 460
REPORT_NOT_SUPPORTED = 461
TARGET_MISMATCH = 462
NOT_REGISTERED = 463


def is_success(code: int) -> bool:
    """Tell whether a code, of OpenADR or of HTTP, is one of 2xx."""
    return code // 100 == 2  # noqa: PLR2004 - success
