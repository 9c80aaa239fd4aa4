// mapped_flash.map(path): a file as memory that the heap does not hold, as a board's flash is mapped.
// A ROMFS image given to vfs.VfsRom so is executed in place.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"

static mp_obj_t mapped_flash_map(mp_obj_t path) {
    struct stat found;
    int handle = open(mp_obj_str_get_str(path), O_RDONLY);
    if (handle < 0 || fstat(handle, &found) < 0) {
        mp_raise_OSError(MP_ENOENT);
    }
    void *start = mmap(NULL, found.st_size, PROT_READ, MAP_PRIVATE, handle, 0);
    close(handle);
    if (start == MAP_FAILED) {
        mp_raise_OSError(MP_ENOMEM);
    }
    return mp_obj_new_memoryview('B', found.st_size, start);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mapped_flash_map_obj, mapped_flash_map);

static const mp_rom_map_elem_t mapped_flash_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_mapped_flash) },
    { MP_ROM_QSTR(MP_QSTR_map), MP_ROM_PTR(&mapped_flash_map_obj) },
};
static MP_DEFINE_CONST_DICT(mapped_flash_globals, mapped_flash_globals_table);

const mp_obj_module_t mapped_flash_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mapped_flash_globals,
};
MP_REGISTER_MODULE(MP_QSTR_mapped_flash, mapped_flash_module);
