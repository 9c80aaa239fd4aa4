"""Write OCI image archives with the standard library alone (pure but for reading files).

Every time stamp is zero and every list sorted: the same input gives the same bytes.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
USER = "65532:65532"


def _member(
    name: str, *, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.mtime = kind, mode, size, 0
    return member


def _parents(names: Sequence[str]) -> list[str]:
    found = {str(parent) for name in names for parent in Path(name).parents}
    return sorted(found - {"."})


def build_layer(files: Mapping[str, Path | bytes]) -> bytes:
    """A layer (uncompressed tar) of files by their path in the image, without a leading slash.

    A source that is a symbolic link stays one; the mode keeps only its executable bit.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as layer:
        for folder in _parents(list(files)):
            mode = 0o1777 if folder == "tmp" else 0o755
            layer.addfile(_member(folder, mode=mode, kind=tarfile.DIRTYPE))
        for name in sorted(files):
            source = files[name]
            if isinstance(source, Path) and source.is_symlink():
                member = _member(name, mode=0o777, kind=tarfile.SYMTYPE)
                member.linkname = str(source.readlink())
                layer.addfile(member)
                continue
            content = source if isinstance(source, bytes) else source.read_bytes()
            executable = isinstance(source, Path) and source.stat().st_mode & 0o100
            mode = 0o755 if executable else 0o644
            layer.addfile(_member(name, mode=mode, size=len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    return {"mediaType": kind, "digest": digest, "size": len(blob)}


def _dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def build_archive(
    reference: str, layers: Sequence[bytes], settings: Mapping[str, Any] | None = None
) -> bytes:
    """An OCI archive of one image.

    Args:
        reference: full name with tag, as a pod names it.
        layers: uncompressed tars, the lowest first.
        settings: the image's Entrypoint, Env, Labels, …
    """
    packed = [gzip.compress(layer, compresslevel=6, mtime=0) for layer in layers]
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = _dump(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": USER, **(settings or {})},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "metertwin"} for _ in layers],
        }
    )
    manifest = _dump(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, blob) for blob in packed],
        }
    )
    entry = _descriptor(_MANIFEST, manifest)
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    entry["annotations"] = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference,
    }
    files: dict[str, Path | bytes] = {
        "oci-layout": _dump({"imageLayoutVersion": "1.0.0"}),
        "index.json": _dump({"schemaVersion": 2, "manifests": [entry]}),
    }
    for blob in (*packed, config, manifest):
        files["blobs/sha256/" + hashlib.sha256(blob).hexdigest()] = blob
    return build_layer(files)


def program_archive(reference: str, program: Path) -> bytes:
    """An image that holds one static program and starts it."""
    layer = build_layer({program.name: program, "tmp/.keep": b""})
    return build_archive(reference, [layer], {"Entrypoint": [f"/{program.name}"]})
