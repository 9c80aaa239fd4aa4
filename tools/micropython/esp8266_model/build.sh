# Runs in the throw-away tree: Debian's source package is in /build, this folder in /build/recipe.
set -e
export LC_ALL=C
cd /build
# Links that scripts of the packages would make.
[ -e /lib32 ] || ln -s usr/lib32 /lib32
[ -e /lib/ld-linux.so.2 ] || ln -s /usr/lib32/ld-linux.so.2 /lib/ld-linux.so.2
dpkg-source --no-check -x *.dsc source >/dev/null
make -s -j"$(nproc)" -C source/mpy-cross
# Frozen into the interpreter, as into the firmware of a board.
printf '%s\n' 'include("$(MPY_DIR)/extmod/asyncio")' 'freeze("/build/recipe/frozen")' >manifest.py
# SSE computes in single precision, as the board's library does; the x87 would keep more digits.
make -s -j"$(nproc)" -C source/ports/unix VARIANT_DIR=/build/recipe BUILD=/build/out \
  CFLAGS_EXTRA="-msse2 -mfpmath=sse"
strip -o result/micropython out/micropython
# It runs through its own loader: no 32-bit libraries are needed on the machine.
cp -L /usr/lib32/ld-linux.so.2 /usr/lib32/libc.so.6 /usr/lib32/libm.so.6 result/
{ ls *.dsc; gcc --version | head -n 1; } >result/versions.txt
