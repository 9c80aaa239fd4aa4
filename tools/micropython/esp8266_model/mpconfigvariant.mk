# No TLS and no database: a small meter has neither. `mapped_flash` takes the place of ffi, `board_aes`
# that of cryptolib over axTLS.
MICROPY_FORCE_32BIT = 1
MICROPY_PY_SSL = 0
MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_THREAD = 0
MICROPY_USE_READLINE = 0
FROZEN_MANIFEST = /build/manifest.py
