"""The HTTP side: thin views over the gateway's service and the runtime."""

from __future__ import annotations

from .mount import register as register
