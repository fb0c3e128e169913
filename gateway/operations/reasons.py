"""What refusals are called: the reason that is audited comes in, words for people and the command that helps come out.

A command has places for names, which strangers may have chosen: whoever fills them in quotes them.
"""

from __future__ import annotations

LOGIN = {
    "unknown_account": ("there is no such account", "dockgate account list"),
    "wrong_password": ("the password was wrong", "dockgate account passwd {target}"),
    "disabled": ("the account is disabled", "dockgate account enable {target}"),
    "locked_out": ("the account was locked after wrong passwords", "dockgate account unlock {target}"),
    "certificate_mismatch": (
        "the client certificate is of another account or dock",
        "dockgate cert issue {target} --replace",
    ),
    "no_credentials": ("no account and password were sent", "dockgate card"),
    "busy": ("the gateway was too busy to check the password", "dockgate status"),
}
PIN = {
    "has_other_sn": (
        "the account is another dock's: give this one its own, or untie the account if the other dock is gone",
        "dockgate account unpin {target}",
    ),
    "sn_taken": ("this dock has another account already", "dockgate account list"),
    "sn_is_aircraft": ("this serial number is an aircraft's", "dockgate dock show {sn}"),
    "sn_of_other_organization": (
        "the dock is bound to another organization than the account's",
        "dockgate dock show {sn}",
    ),
    "account_changed": ("the account was changed meanwhile", "dockgate account list"),
    "unavailable": ("the database could not be written", "dockgate doctor"),
}
BINDING = {
    "code_unknown": ("no such binding code: mistyped, it may be (capitals count)", "dockgate card"),
    "code_expired": ("the binding code has expired", "dockgate org code add {organization_id}"),
    "code_used_up": ("the binding code has no use left", "dockgate org code add {organization_id}"),
    "code_revoked": ("the binding code was revoked", "dockgate org code add {organization_id}"),
    "code_for_other_dock": (
        "the binding code is for another dock only",
        "dockgate org code add {organization_id} --sn {sn}",
    ),
    "wrong_organization": (
        "organization id and binding code do not belong together, or not to the dock's account",
        "dockgate card",
    ),
    "bound_elsewhere": ("it is bound to another organization", "dockgate dock unbind {device}"),
    "bad_model_key": ("its model key is not one (domain-type-sub_type)", "dockgate audit list --dock {sn}"),
    "bad_sn": ("its serial number is not one", "dockgate audit list --dock {sn}"),
    "not_yours": ("it hangs on another dock, or is one", "dockgate dock list"),
}
LICENSE = (
    "the license was given, and then the dock said nothing more: it does not accept it, most likely. App id, key and "
    "license have to be of one app of the kind Cloud API"
)
