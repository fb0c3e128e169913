"""A bill of materials: ``python packaging/sbom.py FILE`` writes what is installed with dockgate, out of requirements.lock and
the metadata of those packages, as CycloneDX 1.5 JSON. Never names what is for development only, nor the moment it was made.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)$", re.MULTILINE)
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def canonical(name: str) -> str:
    """As registries compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Version by canonical name."""
    return {canonical(name): version for name, version in _PIN.findall(LOCK.read_text(encoding="utf-8"))}


def bill() -> dict[str, Any]:
    """Raises ``SystemExit`` when what is installed is not what the lock says: the bill would be of something else."""
    pinned = pins()
    components = [_component(name, version) for name, version in sorted(pinned.items())]
    own = _purl("dockgate", metadata.version("dockgate"))
    names = {"dockgate": own, **{name: _purl(name, version) for name, version in pinned.items()}}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, own + json.dumps(pinned, sort_keys=True))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "dockgate",
                "version": metadata.version("dockgate"),
                "purl": own,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": _needs(name, names)} for name, ref in sorted(names.items())],
    }


def _component(name: str, version: str) -> dict[str, Any]:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        sys.exit(f"{name} is in {LOCK.name} and not installed here")
    if about["Version"] != version:
        sys.exit(f"{name} {about['Version']} is installed, and {LOCK.name} says {version}")
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(name, version),
        "name": about["Name"],
        "version": version,
        "purl": _purl(name, version),
    }
    if about.get("Summary"):
        found["description"] = about["Summary"]
    if license_ := _license(about):
        found["licenses"] = [license_]
    return found


def _license(about: Any) -> dict[str, Any] | None:
    if expression := about.get("License-Expression"):
        return {"expression": expression}
    said = about.get("License") or ""
    if said and "\n" not in said and len(said) < 80:
        return {"license": {"name": said}}
    named = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or [] if one.startswith("License ::")]
    return {"license": {"name": ", ".join(named)}} if named else None


def _needs(name: str, names: dict[str, str]) -> list[str]:
    wanted = (_NAME.match(one) for one in metadata.requires(name) or () if "extra ==" not in one)
    return sorted({names[canonical(one[0])] for one in wanted if one is not None and canonical(one[0]) in names})


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def write(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
