"""Which dock an aircraft may hang on: facts come in, yes or no goes out. Pure, for memory and database to agree.

A dock publishes under the SNs of its aircraft: who may claim one decides whose telemetry can be forged or taken away.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChildFacts:
    """``is_gateway``: a dock, or an account's SN. ``parent_organization_id``: its dock's, by binding or by account."""

    is_gateway: bool
    organization_id: str | None
    parent_sn: str | None
    parent_organization_id: str | None


UNKNOWN = ChildFacts(is_gateway=False, organization_id=None, parent_sn=None, parent_organization_id=None)


def may_claim(child: ChildFacts, *, gateway_sn: str, gateway_organization_id: str | None) -> bool:
    """In this order: never a dock; always for the dock it hangs on; without a dock, unless it is bound to an
    organization that is not the asking dock's; from another dock, within one organization. For the rest
    ``dockgate dock forget`` is the mend.
    """
    if child.is_gateway:
        return False
    if child.parent_sn == gateway_sn:
        return True
    if child.parent_sn is None:
        return child.organization_id is None or child.organization_id == gateway_organization_id
    return child.parent_organization_id is not None and child.parent_organization_id == gateway_organization_id
