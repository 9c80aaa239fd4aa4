// cryptolib.aes of the ESP8266's Python as far as firmware uses it: AES-256, ECB, whole blocks,
// encryption only (FIPS 197). Debian's source has no axTLS, whose AES the board runs. An object takes as
// much of the heap as there: its context of 500 bytes holds the expanded key.
#include <string.h>

#include "py/runtime.h"

#define ECB (1)
#define KEY_WORDS (8)
#define ROUNDS (14)
#define AXTLS_CONTEXT_BYTES (500)

typedef struct {
    mp_obj_base_t base;
    union {
        uint8_t key[ROUNDS + 1][16];
        uint8_t axtls[AXTLS_CONTEXT_BYTES];
    };
    uint8_t mode;
} aes_t;

static uint8_t substitution[256];

static uint8_t doubled(uint8_t octet) {
    return (uint8_t)(octet << 1) ^ (octet & 0x80 ? 0x1b : 0);
}

static uint8_t turned(uint8_t octet, int bits) {
    return (uint8_t)(octet << bits | octet >> (8 - bits));
}

// FIPS 197, 5.1.1: inverse in GF(2^8), then an affine map. 3 generates the field, 0xf6 is its inverse.
static void fill_substitution(void) {
    uint8_t power = 1, inverse = 1;
    do {
        power ^= doubled(power);
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        inverse ^= inverse & 0x80 ? 0x09 : 0;
        substitution[power] = inverse ^ turned(inverse, 1) ^ turned(inverse, 2)
            ^ turned(inverse, 3) ^ turned(inverse, 4) ^ 0x63;
    } while (power != 1);
    substitution[0] = 0x63;
}

// FIPS 197, 5.2.
static void expand(aes_t *self, const uint8_t *key) {
    uint8_t *words = &self->key[0][0];
    uint8_t constant = 1;
    memcpy(words, key, 4 * KEY_WORDS);
    for (int word = KEY_WORDS; word < 4 * (ROUNDS + 1); word++) {
        uint8_t last[4];
        memcpy(last, words + 4 * (word - 1), 4);
        if (word % KEY_WORDS == 0) {
            uint8_t first = last[0];
            last[0] = substitution[last[1]] ^ constant;
            last[1] = substitution[last[2]];
            last[2] = substitution[last[3]];
            last[3] = substitution[first];
            constant = doubled(constant);
        } else if (word % KEY_WORDS == 4) {
            for (int at = 0; at < 4; at++) {
                last[at] = substitution[last[at]];
            }
        }
        for (int at = 0; at < 4; at++) {
            words[4 * word + at] = words[4 * (word - KEY_WORDS) + at] ^ last[at];
        }
    }
}

// FIPS 197, 5.1.
static void encrypt_block(const aes_t *self, const uint8_t *from, uint8_t *into) {
    uint8_t state[16], moved[16];
    for (int at = 0; at < 16; at++) {
        state[at] = from[at] ^ self->key[0][at];
    }
    for (int round = 1; round <= ROUNDS; round++) {
        for (int at = 0; at < 16; at++) {
            moved[at] = substitution[state[(at + 4 * (at % 4)) % 16]];
        }
        for (int column = 0; column < 16; column += 4) {
            uint8_t *one = moved + column;
            uint8_t all = one[0] ^ one[1] ^ one[2] ^ one[3];
            for (int row = 0; row < 4; row++) {
                uint8_t mixed = one[row] ^ all ^ doubled(one[row] ^ one[(row + 1) % 4]);
                state[column + row] = (round < ROUNDS ? mixed : one[row])
                    ^ self->key[round][column + row];
            }
        }
    }
    memcpy(into, state, 16);
}

static mp_obj_t aes_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_buffer_info_t key;
    mp_get_buffer_raise(args[0], &key, MP_BUFFER_READ);
    if (key.len != 4 * KEY_WORDS || mp_obj_get_int(args[1]) != ECB) {
        mp_raise_ValueError(MP_ERROR_TEXT("this model has AES-256 in ECB only"));
    }
    aes_t *self = mp_obj_malloc(aes_t, type);
    self->mode = ECB;
    if (!substitution[0]) {
        fill_substitution();
    }
    expand(self, key.buf);
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t aes_encrypt(mp_obj_t self_in, mp_obj_t data_in, mp_obj_t into_in) {
    mp_buffer_info_t data, into;
    mp_get_buffer_raise(data_in, &data, MP_BUFFER_READ);
    mp_get_buffer_raise(into_in, &into, MP_BUFFER_WRITE);
    if (data.len % 16 || into.len < data.len) {
        mp_raise_ValueError(MP_ERROR_TEXT("blksize % 16"));
    }
    for (size_t at = 0; at < data.len; at += 16) {
        encrypt_block(MP_OBJ_TO_PTR(self_in), (uint8_t *)data.buf + at, (uint8_t *)into.buf + at);
    }
    return into_in;
}
static MP_DEFINE_CONST_FUN_OBJ_3(aes_encrypt_obj, aes_encrypt);

static const mp_rom_map_elem_t aes_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_encrypt), MP_ROM_PTR(&aes_encrypt_obj) },
};
static MP_DEFINE_CONST_DICT(aes_locals, aes_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    board_aes_type, MP_QSTR_aes, MP_TYPE_FLAG_NONE, make_new, aes_make_new, locals_dict, &aes_locals);

static const mp_rom_map_elem_t cryptolib_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_cryptolib) },
    { MP_ROM_QSTR(MP_QSTR_aes), MP_ROM_PTR(&board_aes_type) },
};
static MP_DEFINE_CONST_DICT(cryptolib_globals, cryptolib_globals_table);

const mp_obj_module_t board_cryptolib_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&cryptolib_globals,
};
MP_REGISTER_EXTENSIBLE_MODULE(MP_QSTR_cryptolib, board_cryptolib_module);
