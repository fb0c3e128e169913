"""The program as one file: ``python packaging/binary/build.py`` makes build/binary/tree/dockgate/ with PyInstaller and
packs it, behind the launcher, into dist/dockgate. Says which glibc that needs. Why it is made so: docs/decisions/0009-one-file.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / "build" / "binary"
TREE = WORK / "tree" / "dockgate"
GLIBC = WORK / "glibc"
RESULT = ROOT / "dist" / "dockgate"
MAGIC = b"dockgate-payload"
_STAMP = WORK / "made-from"
# Nothing of the machine or the moment may get into the file: the same sources and tools make the same bytes
_REPRODUCIBLE = {"PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "1767225600", "LC_ALL": "C.UTF-8"}


def build() -> Path:
    """dist/dockgate, made anew only when its sources or the Python that goes into it are others than last time."""
    made_from = _made_from()
    if RESULT.exists() and TREE.exists() and _STAMP.exists() and _STAMP.read_text(encoding="utf-8") == made_from:
        return RESULT
    _STAMP.unlink(missing_ok=True)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    _need("gcc", "objdump")
    _freeze()
    GLIBC.write_text(oldest_glibc(TREE), encoding="utf-8")
    launcher = _compile()
    RESULT.parent.mkdir(exist_ok=True)
    _join(launcher, RESULT)
    _STAMP.write_text(made_from, encoding="utf-8")
    return RESULT


def sources() -> list[Path]:
    """What the file is made of."""
    folders = (ROOT / "gateway", ROOT / "broker_plugins", HERE)
    found = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return sorted([*found, ROOT / "requirements.lock"])


def _made_from() -> str:
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for path in sources():
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _need(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        sys.exit(
            f"the one file cannot be made without {' and '.join(missing)}: apt-get install gcc libc6-dev zlib1g-dev binutils"
        )


def _run(*words: str) -> None:
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **_REPRODUCIBLE}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}:\n{done.stdout[-4000:]}{done.stderr[-8000:]}")


def _freeze() -> None:
    _run(
        sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "--distpath", str(WORK / "tree"),
        "--workpath", str(WORK / "work"), str(HERE / "dockgate.spec"),
    )  # fmt: skip
    for record in TREE.glob("_internal/*.dist-info/*"):
        if record.name in {
            "RECORD",
            "INSTALLER",
            "REQUESTED",
            "direct_url.json",
            "uv_cache.json",
        }:  # of the machine it was built on
            record.unlink()


def oldest_glibc(tree: Path) -> str:
    """The version of glibc that the most demanding of all programs and libraries in TREE asks for."""
    wanted = {(2, 17)}
    for path in tree.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.open("rb").read(4) != b"\x7fELF":
            continue
        said = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True).stdout
        wanted |= {(int(one[1]), int(one[2])) for one in re.finditer(r"GLIBC_(\d+)\.(\d+)", said)}
    return "{}.{}".format(*max(wanted))


def _compile() -> Path:
    launcher = WORK / "launcher"
    _run(
        "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-format-truncation", "-static", "-s", "-Wl,--build-id=none",
        "-o", str(launcher), str(HERE / "launcher.c"), "-lz",
    )  # fmt: skip
    return launcher


def _join(launcher: Path, target: Path) -> None:
    raw = io.BytesIO()
    files = total = 0
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(TREE.rglob("*")):
            member = tarfile.TarInfo(str(path.relative_to(TREE)))
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o700
                archive.addfile(member)
                continue
            content = path.read_bytes()  # what a link leads to, where there is one
            member.size, member.mode = len(content), 0o700 if os.access(path, os.X_OK) else 0o600
            archive.addfile(member, io.BytesIO(content))
            files, total = files + 1, total + len(content)
    payload = gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)
    start = launcher.read_bytes()
    name = hashlib.sha256(payload).hexdigest()[:32].encode()
    trailer = struct.pack("<16sQQQQ32s", MAGIC, len(start), len(payload), files, total, name)
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(start + payload + trailer)
    beside.chmod(0o755)
    beside.replace(target)


if __name__ == "__main__":
    made = build()
    sys.stdout.write(
        f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.0f} MB, for glibc {GLIBC.read_text(encoding='utf-8')} or newer\n"
    )
