"""Configuration: broker.yaml and the environment come in, a frozen Config that knows each value's source goes out.

No secret belongs into it, no option is read anywhere else, and nothing here touches the network.
"""

from __future__ import annotations

from gateway.config.difference import differences
from gateway.config.loading import Config, find, load
from gateway.config.options import Option, options
from gateway.config.problems import Problem
from gateway.config.settings import (
    AdminSettings,
    AuditSettings,
    CardSettings,
    DockgateSettings,
    LimitSettings,
    ListenerSettings,
    LoginSettings,
    LogSettings,
    RequestSettings,
)
from gateway.config.template import render
from gateway.config.values import Bind, parse_bind

__all__ = [
    "AdminSettings",
    "AuditSettings",
    "Bind",
    "CardSettings",
    "Config",
    "DockgateSettings",
    "LimitSettings",
    "ListenerSettings",
    "LogSettings",
    "LoginSettings",
    "Option",
    "Problem",
    "RequestSettings",
    "differences",
    "find",
    "load",
    "options",
    "parse_bind",
    "render",
]
