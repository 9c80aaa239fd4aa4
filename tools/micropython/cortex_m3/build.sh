# Runs in the throw-away tree: Debian's source package is in /build, this folder in /build/recipe.
set -e
export LC_ALL=C
cd /build
dpkg-source --no-check -x *.dsc source >/dev/null
make -s -j"$(nproc)" -C source/ports/qemu BOARD=MPS2_AN385 BUILD=/build/out FROZEN_MANIFEST= \
  CFLAGS_EXTRA="-I/usr/include/newlib"
cp out/firmware.elf result/
{ ls *.dsc; arm-none-eabi-gcc --version | head -n 1; } >result/versions.txt
